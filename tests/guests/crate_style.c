/* A guest that calls as the Rust crate wasi-nn lays out its calls, in the style of the image classification examples
 * that use it: model and tensor from files, u8 input, an output buffer larger than the output, the five best classes.
 *
 * The crate up to 0.5 numbers u8 as 2 and its tensor_type is a C enum of four bytes; 0.6 numbers it 3 and its type is
 * one byte, followed by padding that holds whatever was on the stack. Built twice: CRATE is 5 or 6.
 *
 * usage: crate_style MODEL TENSOR D0 D1 ... */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if CRATE == 5
enum { TENSOR_TYPE_U8 = 2 };
#elif CRATE == 6
enum { TENSOR_TYPE_U8 = 3 };
#else
#error "CRATE is 5 or 6"
#endif

enum { GRAPH_ENCODING_TENSORFLOWLITE = 4, EXECUTION_TARGET_CPU = 0, MAX_RANK = 8, BUFFER = 1001 };

/* &[T], as it lies in memory. */
struct slice {
  const void *data;
  uint32_t len;
};

struct tensor {
  struct slice dimensions;
#if CRATE == 5
  uint32_t type;
#else
  uint8_t type;
  uint8_t padding[3];
#endif
  struct slice data;
};

/* The crate passes every pointer and length as i32. */
#define IMPORT(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(#name)))
IMPORT(load) int32_t load(int32_t builder, int32_t len, int32_t encoding, int32_t target, int32_t graph);
IMPORT(init_execution_context) int32_t init_execution_context(int32_t graph, int32_t context);
IMPORT(set_input) int32_t set_input(int32_t context, int32_t index, int32_t tensor);
IMPORT(compute) int32_t compute(int32_t context);
IMPORT(get_output) int32_t get_output(int32_t context, int32_t index, int32_t out, int32_t max, int32_t written);

/* What Rust's standard library asks of its host before and beside main. */
static void start_like_rust(void) {
  uint8_t keys[16];
  if (getentropy(keys, sizeof keys)) abort();
  if (getenv("RUST_BACKTRACE")) fprintf(stderr, "note: backtraces are not available\n");
}

static void unwrap(int32_t error) {
  static const char *const names[] = {"Success", "InvalidArgument", "InvalidEncoding", "MissingMemory", "Busy",
                                      "RuntimeError", "UnsupportedOperation", "TooLarge", "NotFound"};
  if (!error) return;
  fprintf(stderr, "thread 'main' panicked at src/main.rs:\ncalled `Result::unwrap()` on an `Err` value: BackendError(%s)\n",
          error > 0 && error <= 8 ? names[error] : "UnknownError");
  exit(101);
}

/* std::fs::read: the file's size first, then the bytes, then once more to see the end. */
static struct slice read_file(const char *path) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info)) {
    fprintf(stderr, "thread 'main' panicked at src/main.rs:\n%s: %s\n", path, strerror(errno));
    exit(101);
  }
  uint8_t *bytes = malloc((size_t)info.st_size + 1);
  size_t len = fread(bytes, 1, (size_t)info.st_size + 1, file);
  fclose(file);
  return (struct slice){bytes, len};
}

int main(int argc, char **argv) {
  start_like_rust();
  if (argc < 4 || argc - 3 > MAX_RANK) {
    fprintf(stderr, "usage: crate_style MODEL TENSOR D0 D1 ...\n");
    return 2;
  }
  uint32_t dims[MAX_RANK];
  for (int i = 3; i < argc; i++) dims[i - 3] = (uint32_t)atoi(argv[i]);

  struct slice weights = read_file(argv[1]);
  printf("Read graph weights, size in bytes: %u\n", (unsigned)weights.len);
  int32_t graph = 0, context = 0;
  unwrap(load((int32_t)&weights, 1, GRAPH_ENCODING_TENSORFLOWLITE, EXECUTION_TARGET_CPU, (int32_t)&graph));
  unwrap(init_execution_context(graph, (int32_t)&context));

  struct slice data = read_file(argv[2]);
  printf("Read input tensor, size in bytes: %u\n", (unsigned)data.len);
  struct tensor tensor;
  memset(&tensor, 0xA5, sizeof tensor);
  tensor.dimensions = (struct slice){dims, (uint32_t)(argc - 3)};
  tensor.type = TENSOR_TYPE_U8;
  tensor.data = data;
  unwrap(set_input(context, 0, (int32_t)&tensor));
  unwrap(compute(context));

  static uint8_t out[BUFFER];
  uint32_t written = 0;
  unwrap(get_output(context, 0, (int32_t)out, sizeof out, (int32_t)&written));
  for (int place = 1; place <= 5 && place <= (int)written; place++) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < written; i++)
      if (out[i] > out[best]) best = i;
    printf("   %d.) [%u](%u)\n", place, (unsigned)best, out[best]);
    out[best] = 0;
  }
  return 0;
}
