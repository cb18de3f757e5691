/* Classifies 8x8 images of handwritten digits through "wasi_nn", the interface that WAMR had before it took up the
 * specification's "wasi_ephemeral_nn", and that its builds without WAMR_BUILD_WASI_EPHEMERAL_NN still have.
 *
 * What is different there: load takes the list of the model's parts behind a record; a tensor says where its dimensions
 * are and no length; get_output has one number for the buffer's size and for what came, counted in f32 elements. The
 * model has to take and give f32. */
#include <fcntl.h>

#include "guest.h"

#define LEGACY(function) __attribute__((import_module("wasi_nn"), import_name(#function)))

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, F32 = 1, TENSORFLOWLITE = 4, CPU = 0 };

typedef struct {
  const void *items;
  uint32_t count;
} array;

typedef struct {
  const array *dims;
  uint32_t type;
  const float *data;
} tensor;

_Static_assert(sizeof(array) == 8 && sizeof(tensor) == 12, "the layout on wasm32");

LEGACY(load) uint32_t legacy_load(const array *parts, uint32_t encoding, uint32_t target, uint32_t *graph);
LEGACY(init_execution_context) uint32_t legacy_init(uint32_t graph, uint32_t *context);
LEGACY(set_input) uint32_t legacy_set_input(uint32_t context, uint32_t index, const tensor *data);
LEGACY(compute) uint32_t legacy_compute(uint32_t context);
LEGACY(get_output) uint32_t legacy_get_output(uint32_t context, uint32_t index, float *data, uint32_t *size);

/* The numbers of an errno are not the same in every release, so the number is all that is said. */
static void must(const char *call, uint32_t number) {
  if (!number) return;
  flush(&out);
  put(&err, call);
  put(&err, ": errno ");
  put_number(&err, number);
  put_char(&err, '\n');
  flush(&err);
  _Exit(GUEST_FAILED);
}

static uint8_t *read_file(const char *path, size_t *size) {
  int fd = open(path, O_RDONLY);
  off_t length = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
  if (length < 0 || lseek(fd, 0, SEEK_SET)) fail(GUEST_FAILED, "cannot read", path, "no such file in an open directory?");
  uint8_t *bytes = malloc((size_t)length + 1);
  if (!bytes) fail(GUEST_FAILED, "cannot read", path, "out of memory");
  for (*size = 0; *size < (size_t)length;) {
    ssize_t n = read(fd, bytes + *size, (size_t)length - *size);
    if (n <= 0) fail(GUEST_FAILED, "cannot read", path, "it ends early");
    *size += (size_t)n;
  }
  close(fd);
  return bytes;
}

/* An 8x8 binary PGM file as numbers from paper (0) to ink (1). */
static void read_image(const char *path, float *pixels) {
  size_t size;
  uint8_t *file = read_file(path, &size);
  const uint8_t *p = file + 2, *end = file + size;
  unsigned header[3] = {0};
  if (size < 2 || file[0] != 'P' || file[1] != '5') fail(GUEST_FAILED, "bad image", path, "not a binary PGM (P5)");
  for (int i = 0; i < 3; i++) {
    while (p < end && (*p == ' ' || *p == '\n')) p++;
    while (p < end && *p >= '0' && *p <= '9' && header[i] < 1000) header[i] = header[i] * 10 + (*p++ - '0');
  }
  if (header[0] != SIDE || header[1] != SIDE || header[2] < 1 || header[2] > 255 || end - p != 1 + PIXELS)
    fail(GUEST_FAILED, "bad image", path, "not 8x8 pixels of one byte");
  for (int i = 0; i < PIXELS; i++) pixels[i] = (float)p[1 + i] / (float)header[2];
  free(file);
}

static uint32_t open_model(const char *path) {
  size_t size;
  uint8_t *bytes = read_file(path, &size);
  array part = {bytes, size}, parts = {&part, 1};
  uint32_t graph, context;
  must("load", legacy_load(&parts, TENSORFLOWLITE, CPU, &graph));
  free(bytes);
  must("init_execution_context", legacy_init(graph, &context));
  return context;
}

static void classify(uint32_t context, const char *path) {
  static const uint32_t dims[] = {1, SIDE, SIDE, 1};
  float pixels[PIXELS], scores[CLASSES];
  read_image(path, pixels);
  array shape = {dims, sizeof dims / sizeof *dims};
  tensor input = {&shape, F32, pixels};
  must("set_input", legacy_set_input(context, 0, &input));
  must("compute", legacy_compute(context));
  /* The size counts elements. But from WAMR 2.4 on a copy that needs more bytes than this number comes out as zeros,
   * so it is given in bytes here, which every release takes; what comes back is elements everywhere. */
  uint32_t count = sizeof scores;
  must("get_output", legacy_get_output(context, 0, scores, &count));
  if (count != CLASSES) fail(GUEST_FAILED, "get_output", NULL, "not ten numbers: is it a digits model?");
  int best = 0;
  for (int i = 1; i < CLASSES; i++)
    if (scores[i] > scores[best]) best = i;
  put(&out, path);
  put(&out, " → ");
  put_number(&out, (uint64_t)best);
  put(&out, " (");
  put_number(&out, (uint64_t)(scores[best] * 100 + 0.5f));
  put(&out, " %)\n");
}

int main(int argc, char **argv) {
  if (argc < 3) fail(GUEST_USAGE, "usage", NULL, "legacy MODEL.tflite IMAGE.pgm...");
  uint32_t context = open_model(argv[1]);
  for (int i = 2; i < argc; i++) classify(context, argv[i]);
  flush(&out);
  return GUEST_OK;
}
