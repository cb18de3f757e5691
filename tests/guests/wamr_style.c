/* A guest in the style of the tests and samples that come with wasm-micro-runtime: its type names, stdio, a big buffer
 * for the model that is freed right after load, one structure for an array and its size, float in and out, sizes in
 * floats that become bytes at the call.
 *
 * usage: wamr_style MODEL D0 D1 D2 D3     feeds 0, 1, 2, ... and prints what comes out */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_MODEL_SIZE 85000000
#define MAX_OUTPUT_TENSOR_SIZE 1000000
#define INPUT_TENSOR_DIMS 4
#define IMPORT(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(#name)))

typedef enum { success = 0 } wasi_nn_error;
typedef enum { fp16 = 0, fp32 } tensor_type;
typedef enum { openvino = 0, onnx, tensorflow, pytorch, tensorflowlite } graph_encoding;
typedef enum { cpu = 0, gpu, tpu } execution_target;
typedef uint32_t graph;
typedef uint32_t graph_execution_context;

typedef struct {
  uint32_t *buf;
  uint32_t size;
} tensor_dimensions;

typedef struct {
  uint8_t *buf;
  uint32_t size;
} tensor_data;

typedef struct {
  tensor_dimensions dimensions;
  uint8_t type;
  uint8_t padding[3];
  tensor_data data;
} tensor;

typedef struct {
  uint8_t *buf;
  uint32_t size;
} graph_builder;

IMPORT(load)
wasi_nn_error load(graph_builder *builder, uint32_t builder_len, graph_encoding encoding, execution_target target,
                   graph *g);
IMPORT(init_execution_context) wasi_nn_error init_execution_context(graph g, graph_execution_context *ctx);
IMPORT(set_input) wasi_nn_error set_input(graph_execution_context ctx, uint32_t index, tensor *t);
IMPORT(compute) wasi_nn_error compute(graph_execution_context ctx);
IMPORT(get_output)
wasi_nn_error get_output(graph_execution_context ctx, uint32_t index, uint8_t *out, uint32_t out_size,
                         uint32_t *written);

static wasi_nn_error wasm_load(const char *model_name, graph *g, execution_target target) {
  FILE *file = fopen(model_name, "r");
  if (!file) {
    printf("Error when opening %s.\n", model_name);
    exit(1);
  }
  uint8_t *buffer = malloc(MAX_MODEL_SIZE);
  if (!buffer) {
    printf("Error when allocating the model's buffer.\n");
    exit(1);
  }
  size_t result = fread(buffer, 1, MAX_MODEL_SIZE, file);
  graph_builder *builder = malloc(sizeof *builder);
  builder->buf = buffer;
  builder->size = result;
  wasi_nn_error res = load(builder, 1, tensorflowlite, target, g);
  fclose(file);
  free(buffer);
  free(builder);
  return res;
}

static wasi_nn_error wasm_set_input(graph_execution_context ctx, float *input_tensor, uint32_t *dim) {
  tensor t = {.dimensions = {malloc(INPUT_TENSOR_DIMS * sizeof(uint32_t)), INPUT_TENSOR_DIMS}, .type = fp32};
  uint32_t elements = 1;
  for (int i = 0; i < INPUT_TENSOR_DIMS; i++) elements *= t.dimensions.buf[i] = dim[i];
  t.data.buf = (uint8_t *)input_tensor;
  t.data.size = elements * sizeof(float);
  wasi_nn_error err = set_input(ctx, 0, &t);
  free(t.dimensions.buf);
  return err;
}

static void check(wasi_nn_error error, const char *doing) {
  if (error == success) return;
  printf("Error when %s: %d.\n", doing, error);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 2 + INPUT_TENSOR_DIMS) {
    printf("usage: wamr_style MODEL D0 D1 D2 D3\n");
    return 2;
  }
  uint32_t dim[INPUT_TENSOR_DIMS], elements = 1;
  for (int i = 0; i < INPUT_TENSOR_DIMS; i++) elements *= dim[i] = (uint32_t)atoi(argv[2 + i]);
  float *input = malloc(elements * sizeof(float));
  for (uint32_t i = 0; i < elements; i++) input[i] = (float)i;

  graph g;
  graph_execution_context ctx;
  check(wasm_load(argv[1], &g, cpu), "loading model");
  check(init_execution_context(g, &ctx), "initializing execution context");
  check(wasm_set_input(ctx, input, dim), "setting input tensor");
  check(compute(ctx), "running inference");

  float *out_tensor = malloc(MAX_OUTPUT_TENSOR_SIZE * sizeof(float));
  uint32_t size = MAX_OUTPUT_TENSOR_SIZE * sizeof(float);
  check(get_output(ctx, 0, (uint8_t *)out_tensor, size, &size), "getting output"); /* one variable for both sizes */
  printf("Result: %u floats\n", (unsigned)(size / sizeof(float)));
  for (uint32_t i = 0; i < size / sizeof(float); i++) printf("%u: %.4f\n", (unsigned)i, out_tensor[i]);
  return 0;
}
