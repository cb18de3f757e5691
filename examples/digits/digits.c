/* Classifies 8x8 images of handwritten digits with a TFLite model, through wasi-nn.
 *
 * The model has one input, 1x8x8x1 from paper (0) to ink (1), and one output, ten probabilities. Quantized variants
 * have input scale 1/255 and output scale 1/256, so a pixel or a probability is one byte; int8 ones have both zero
 * points at -128, which flips the top bit of that byte. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "guest.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, MAX_IMAGES = 1000, MAX_RUNS = 100000, UNLABELED = -1 };

static const char usage[] =
    "usage: digits [OPTION]... [FOLDER]\n"
    "Classifies the images in FOLDER (default: images), 8x8 binary PGM files named ..._labelDIGIT.pgm.\n"
    "  --input TYPE        what the model takes: int8 (default), uint8 or f32\n"
    "  --model NAME        load the model of this name (default: digits)\n"
    "  --model-file PATH   load the model from a file that the guest can read\n"
    "  --min-accuracy N    exit with 1 below this percentage (default: 95)\n"
    "  --repeat N          classify each image N times, for steadier latencies (default: 1)\n"
    "  --self-test         classify one built-in image and stop\n";

enum input { INPUT_INT8, INPUT_UINT8, INPUT_F32 };

static struct {
  const char *folder, *model, *model_file;
  enum input input;
  long min_accuracy, repeat;
  int self_test;
} options = {.folder = "images", .model = "digits", .min_accuracy = 95, .repeat = 1};

typedef struct {
  uint8_t pixels[PIXELS]; /* 0 is paper, 255 is ink */
} image;

typedef struct {
  int digit, percent;
  uint64_t nanoseconds;
} answer;

static void parse_options(int argc, char **argv) {
  int folders = 0;
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    if (arg[0] != '-') {
      if (folders++) fail(GUEST_USAGE, "digits", NULL, "one folder at most");
      options.folder = arg;
    } else if (!strcmp(arg, "--self-test")) {
      options.self_test = 1;
    } else if (!strcmp(arg, "--help")) {
      put(&out, usage);
      flush(&out);
      exit(GUEST_OK);
    } else if (i + 1 == argc) {
      put(&err, usage);
      fail(GUEST_USAGE, "digits", arg, "unknown option, or its value is missing");
    } else if (!strcmp(arg, "--input")) {
      const char *type = argv[++i];
      if (!strcmp(type, "int8")) options.input = INPUT_INT8;
      else if (!strcmp(type, "uint8")) options.input = INPUT_UINT8;
      else if (!strcmp(type, "f32")) options.input = INPUT_F32;
      else fail(GUEST_USAGE, "--input", type, "is none of int8, uint8, f32");
    } else if (!strcmp(arg, "--model")) {
      options.model = argv[++i];
    } else if (!strcmp(arg, "--model-file")) {
      options.model_file = argv[++i];
    } else if (!strcmp(arg, "--min-accuracy")) {
      options.min_accuracy = parse_number(arg, argv[++i], 0, 100);
    } else if (!strcmp(arg, "--repeat")) {
      options.repeat = parse_number(arg, argv[++i], 1, MAX_RUNS);
    } else {
      put(&err, usage);
      fail(GUEST_USAGE, "digits", arg, "unknown option");
    }
  }
}

/* The whole file in allocated memory. */
static uint8_t *read_file(const char *path, size_t *size) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) fail(GUEST_FAILED, "cannot open", path, strerror(errno));
  size_t used = 0, room = 4096;
  uint8_t *bytes = NULL;
  for (;;) {
    bytes = realloc(bytes, room);
    if (!bytes) fail(GUEST_FAILED, "cannot read", path, "out of memory");
    ssize_t n = read(fd, bytes + used, room - used);
    if (n < 0) fail(GUEST_FAILED, "cannot read", path, strerror(errno));
    if (n == 0) break;
    used += (size_t)n;
    if (used == room) room *= 2;
  }
  close(fd);
  *size = used;
  return bytes;
}

/* Reads a binary PGM without comments: "P5 8 8 MAX" and one byte a pixel. */
static image read_image(const char *path) {
  size_t size;
  uint8_t *file = read_file(path, &size);
  const uint8_t *p = file + 2, *end = file + size;
  if (size < 2 || file[0] != 'P' || file[1] != '5') fail(GUEST_FAILED, "bad image", path, "not a binary PGM (P5)");
  unsigned header[3];
  for (int i = 0; i < 3; i++) {
    while (p < end && (*p == ' ' || *p == '\n')) p++;
    for (header[i] = 0; p < end && *p >= '0' && *p <= '9' && header[i] < 1000; p++) header[i] = header[i] * 10 + (*p - '0');
  }
  if (header[0] != SIDE || header[1] != SIDE || header[2] < 1 || header[2] > 255 || end - p != 1 + PIXELS)
    fail(GUEST_FAILED, "bad image", path, "not 8x8 pixels of one byte");
  image result;
  for (int i = 0; i < PIXELS; i++) {
    unsigned level = p[1 + i] > header[2] ? header[2] : p[1 + i];
    result.pixels[i] = (uint8_t)((level * 255 * 2 + header[2]) / (header[2] * 2)); /* to the nearest */
  }
  free(file);
  return result;
}

static wasi_nn_context open_model(void) {
  wasi_nn_graph graph;
  wasi_nn_context context;
  if (options.model_file) {
    size_t size;
    uint8_t *bytes = read_file(options.model_file, &size);
    wasi_nn_part part = {bytes, size};
    check("load", options.model_file, wasi_nn_load(&part, 1, WASI_NN_TENSORFLOWLITE, WASI_NN_CPU, &graph));
    free(bytes);
  } else {
    check("load_by_name", options.model, wasi_nn_load_by_name(options.model, strlen(options.model), &graph));
  }
  check("init_execution_context", NULL, wasi_nn_init_execution_context(graph, &context));
  return context;
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static answer classify(wasi_nn_context context, const image *picture) {
  static const uint32_t dims[] = {1, SIDE, SIDE, 1};
  static float floats[PIXELS];
  static uint8_t bytes[PIXELS];
  static union { float f[CLASSES]; uint8_t q[CLASSES]; } probability;
  const uint8_t top_bit = options.input == INPUT_INT8 ? 0x80 : 0;
  const int is_float = options.input == INPUT_F32;

  for (int i = 0; i < PIXELS; i++) {
    floats[i] = (float)picture->pixels[i] / 255;
    bytes[i] = picture->pixels[i] ^ top_bit;
  }
  const wasi_nn_tensor as_floats = {dims, 4, WASI_NN_F32, floats, sizeof floats};
  const wasi_nn_tensor as_bytes = {dims, 4, WASI_NN_U8, bytes, sizeof bytes};
  const uint32_t expected = is_float ? sizeof probability.f : sizeof probability.q;
  uint32_t written = 0;

  uint64_t start = now();
  check("set_input", NULL, wasi_nn_set_input(context, 0, is_float ? &as_floats : &as_bytes));
  check("compute", NULL, wasi_nn_compute(context));
  check("get_output", NULL, wasi_nn_get_output(context, 0, &probability, sizeof probability, &written));
  uint64_t nanoseconds = now() - start;
  if (written != expected) fail(GUEST_FAILED, "get_output", NULL, "the output is not ten probabilities: does --input fit the model?");

  answer best = {0, -1, nanoseconds};
  float most = -1;
  for (int i = 0; i < CLASSES; i++) {
    float p = is_float ? probability.f[i] : (float)(probability.q[i] ^ top_bit) / 256;
    if (p > most) most = p, best.digit = i;
  }
  best.percent = (int)(most * 100 + 0.5f);
  return best;
}

/* A three, as the data set draws it. */
static const char three[] = "  .##.  "
                            " ######."
                            " .   ##."
                            "   .##. "
                            "   .###."
                            "     .##"
                            " #.  ##."
                            " .####. ";

static int self_test(wasi_nn_context context) {
  image picture;
  for (int i = 0; i < PIXELS; i++) picture.pixels[i] = three[i] == '#' ? 255 : three[i] == '.' ? 128 : 0;
  answer a = classify(context, &picture);
  put(&out, a.digit == 3 ? "self-test ok" : "self-test failed");
  put(&out, ": the built-in 3 is taken for a ");
  put_number(&out, (uint64_t)a.digit);
  put(&out, " (");
  put_number(&out, (uint64_t)a.percent);
  put(&out, " %)\n");
  flush(&out);
  return a.digit == 3 ? GUEST_OK : GUEST_NOT_GOOD_ENOUGH;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names of the .pgm files in a folder, sorted: the order in which a file system lists them is anything. */
static int list_images(const char *folder, char **names) {
  DIR *dir = opendir(folder);
  if (!dir) fail(GUEST_FAILED, "cannot open folder", folder, strerror(errno));
  int count = 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    size_t length = strlen(entry->d_name);
    if (length < 4 || strcmp(entry->d_name + length - 4, ".pgm")) continue;
    if (count == MAX_IMAGES) fail(GUEST_FAILED, "too many images in", folder, "1000 at most");
    if (!(names[count++] = strdup(entry->d_name))) fail(GUEST_FAILED, "cannot list", folder, "out of memory");
  }
  closedir(dir);
  qsort(names, (size_t)count, sizeof *names, by_name);
  return count;
}

static int label_of(const char *name) {
  const char *mark = strstr(name, "_label");
  return mark && mark[6] >= '0' && mark[6] <= '9' ? mark[6] - '0' : UNLABELED;
}

static void print_answer(const char *path, answer a, int label) {
  put(&out, path);
  put(&out, " \u2192 ");
  put_number(&out, (uint64_t)a.digit);
  put(&out, " (");
  put_number(&out, (uint64_t)a.percent);
  put(&out, " %)");
  if (label != UNLABELED && label == a.digit) put(&out, " ok");
  if (label != UNLABELED && label != a.digit) put(&out, " wrong: it is a "), put_number(&out, (uint64_t)label);
  put_char(&out, '\n');
  flush(&out);
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void print_latency(uint64_t *nanoseconds, size_t count) {
  qsort(nanoseconds, count, sizeof *nanoseconds, by_value);
  put(&out, "latency: median ");
  put_thousandths(&out, (nanoseconds[(count - 1) / 2] + 500) / 1000);
  put(&out, " ms, 95th percentile ");
  put_thousandths(&out, (nanoseconds[(count * 95 + 99) / 100 - 1] + 500) / 1000);
  put(&out, " ms (set_input, compute, get_output; ");
  put_number(&out, count);
  put(&out, " runs)\n");
}

static int classify_folder(wasi_nn_context context) {
  static char *names[MAX_IMAGES];
  int count = list_images(options.folder, names), labeled = 0, right = 0;
  if (!count) fail(GUEST_FAILED, "no .pgm images in", options.folder, "nothing to do");
  if (count * options.repeat > MAX_RUNS) fail(GUEST_USAGE, "--repeat", NULL, "100000 runs at most, over all images");
  uint64_t *nanoseconds = malloc((size_t)(count * options.repeat) * sizeof *nanoseconds);
  if (!nanoseconds) fail(GUEST_FAILED, "cannot start", NULL, "out of memory");
  size_t runs = 0;

  for (int i = 0; i < count; i++) {
    char path[512];
    if (strlen(options.folder) + strlen(names[i]) + 2 > sizeof path) fail(GUEST_FAILED, "path too long", names[i], "skipped");
    strcat(strcat(strcpy(path, options.folder), "/"), names[i]);
    image picture = read_image(path);
    answer a;
    for (long n = 0; n < options.repeat; n++) {
      a = classify(context, &picture);
      nanoseconds[runs++] = a.nanoseconds;
    }
    int label = label_of(names[i]);
    labeled += label != UNLABELED;
    right += label == a.digit;
    print_answer(path, a, label);
  }

  int enough = 1;
  if (labeled) {
    put(&out, "accuracy: ");
    put_number(&out, (uint64_t)right);
    put(&out, " of ");
    put_number(&out, (uint64_t)labeled);
    put(&out, " (");
    put_number(&out, (uint64_t)(right * 1000 / labeled) / 10);
    put_char(&out, '.');
    put_number(&out, (uint64_t)(right * 1000 / labeled) % 10);
    put(&out, " %)\n");
    enough = right * 100 >= options.min_accuracy * labeled;
  }
  print_latency(nanoseconds, runs);
  flush(&out);
  return enough ? GUEST_OK : GUEST_NOT_GOOD_ENOUGH;
}

int main(int argc, char **argv) {
  parse_options(argc, argv);
  wasi_nn_context context = open_model();
  return options.self_test ? self_test(context) : classify_folder(context);
}
