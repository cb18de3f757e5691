/* wasi-nn for C guests: the functions and numbers of the WITX specification (module "wasi_ephemeral_nn") and WasmEdge's
 * step-by-step extension. https://github.com/WebAssembly/wasi-nn
 *
 * A guest imports only the functions that it calls, so including this header costs nothing. */
#ifndef WASI_NN_H
#define WASI_NN_H

#include <stdint.h>

#define WASI_NN(function) __attribute__((import_module("wasi_ephemeral_nn"), import_name(#function)))

enum wasi_nn_errno {
  WASI_NN_SUCCESS = 0,
  WASI_NN_INVALID_ARGUMENT = 1,
  WASI_NN_INVALID_ENCODING = 2,
  WASI_NN_MISSING_MEMORY = 3,
  WASI_NN_BUSY = 4,
  WASI_NN_RUNTIME_ERROR = 5,
  WASI_NN_UNSUPPORTED_OPERATION = 6,
  WASI_NN_TOO_LARGE = 7,
  WASI_NN_NOT_FOUND = 8,
  WASI_NN_END_OF_SEQUENCE = 100, /* WasmEdge */
};

/* There is no signed 8-bit type: the bytes of an int8 tensor travel as U8. */
enum wasi_nn_tensor_type {
  WASI_NN_F16 = 0,
  WASI_NN_F32 = 1,
  WASI_NN_F64 = 2,
  WASI_NN_U8 = 3,
  WASI_NN_I32 = 4,
  WASI_NN_I64 = 5,
};

enum wasi_nn_encoding {
  WASI_NN_OPENVINO = 0,
  WASI_NN_ONNX = 1,
  WASI_NN_TENSORFLOW = 2,
  WASI_NN_PYTORCH = 3,
  WASI_NN_TENSORFLOWLITE = 4,
  WASI_NN_AUTODETECT = 5,
};

enum wasi_nn_target { WASI_NN_CPU = 0, WASI_NN_GPU = 1, WASI_NN_TPU = 2 };

typedef uint32_t wasi_nn_graph;
typedef uint32_t wasi_nn_context;

/* Part of a model's bytes. TFLite models have one part. */
typedef struct {
  const uint8_t *data;
  uint32_t bytes;
} wasi_nn_part;

typedef struct {
  const uint32_t *dims;
  uint32_t rank;
  uint8_t type;
  const void *data;
  uint32_t bytes;
} wasi_nn_tensor;

_Static_assert(sizeof(wasi_nn_part) == 8 && sizeof(wasi_nn_tensor) == 20, "the specification's layout, on wasm32");

/* Each returns an enum wasi_nn_errno. */

WASI_NN(load)
uint32_t wasi_nn_load(const wasi_nn_part *parts, uint32_t count, uint32_t encoding, uint32_t target,
                      wasi_nn_graph *graph);

WASI_NN(load_by_name)
uint32_t wasi_nn_load_by_name(const char *name, uint32_t length, wasi_nn_graph *graph);

WASI_NN(init_execution_context)
uint32_t wasi_nn_init_execution_context(wasi_nn_graph graph, wasi_nn_context *context);

WASI_NN(set_input)
uint32_t wasi_nn_set_input(wasi_nn_context context, uint32_t index, const wasi_nn_tensor *tensor);

WASI_NN(compute)
uint32_t wasi_nn_compute(wasi_nn_context context);

WASI_NN(get_output)
uint32_t wasi_nn_get_output(wasi_nn_context context, uint32_t index, void *out, uint32_t capacity, uint32_t *written);

/* WasmEdge's extension. One step of a model that carries state from step to step; fini_single ends the sequence. */

WASI_NN(compute_single)
uint32_t wasi_nn_compute_single(wasi_nn_context context);

WASI_NN(get_output_single)
uint32_t wasi_nn_get_output_single(wasi_nn_context context, uint32_t index, void *out, uint32_t capacity,
                                   uint32_t *written);

WASI_NN(fini_single)
uint32_t wasi_nn_fini_single(wasi_nn_context context);

#endif
