/* Writes lines of a ship's log, character by character, with a recurrent TFLite model, through WasmEdge's step-by-step
 * extension of wasi-nn.
 *
 * One step: the model takes a character and its state, and gives a logit for each character that may follow, and its
 * next state. The guest sets the character and reads the logits; the host carries the state from compute_single to
 * compute_single, and fini_single takes it back to zero. The guest decides when a line has ended. */
#include <math.h>
#include <time.h>

#include "guest.h"

/* Token to character, as in corpus.py. Token 0 starts a line and ends it. */
static const char alphabet[] = "\n .,'abcdefghijklmnopqrstuvwxyz";

enum { CHARACTERS = sizeof alphabet - 1, START = 0, END = 0 };

/* Positions in the model. Input 0 is the state and output 1 the next state: the host joins them. */
enum { INPUT_CHARACTER = 1, OUTPUT_LOGITS = 0 };

static const char usage[] =
    "usage: stream [OPTION]... [BEGINNING]\n"
    "Writes lines of a ship's log that start with BEGINNING (small letters, space . , ').\n"
    "  --lines N        how many (default: 3)\n"
    "  --max N          characters in a line, at most (default: 200)\n"
    "  --temperature N  per cent; 0 takes the likeliest character each time (default: 50)\n"
    "  --seed N         another seed, other lines (default: 1)\n"
    "  --pace MS        wait after each character (default: 0)\n"
    "  --model NAME     the model's name (default: shiplog)\n"
    "  --self-test      write the same line twice, check that it is the same and that it ends\n";

static struct {
  const char *beginning, *model;
  long lines, max, temperature, seed, pace;
  int self_test;
} options = {.beginning = "", .model = "shiplog", .lines = 3, .max = 200, .temperature = 50, .seed = 1};

static int token_of(char c) {
  const char *found = c ? strchr(alphabet, c) : NULL;
  return found && found != alphabet ? (int)(found - alphabet) : -1;
}

static void parse_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    if (arg[0] != '-') {
      if (*options.beginning) fail(GUEST_USAGE, "stream", NULL, "one beginning at most: quote it");
      options.beginning = arg;
      for (const char *c = arg; *c; c++)
        if (token_of(*c) < 0) fail(GUEST_USAGE, "stream", arg, "small letters, space and . , ' only");
    } else if (!strcmp(arg, "--self-test")) {
      options.self_test = 1;
    } else if (!strcmp(arg, "--help")) {
      put(&out, usage);
      flush(&out);
      exit(GUEST_OK);
    } else if (i + 1 == argc) {
      put(&err, usage);
      fail(GUEST_USAGE, "stream", arg, "unknown option, or its value is missing");
    } else if (!strcmp(arg, "--lines")) {
      options.lines = parse_number(arg, argv[++i], 1, 1000000);
    } else if (!strcmp(arg, "--max")) {
      options.max = parse_number(arg, argv[++i], 1, 1000000);
    } else if (!strcmp(arg, "--temperature")) {
      options.temperature = parse_number(arg, argv[++i], 0, 1000);
    } else if (!strcmp(arg, "--seed")) {
      options.seed = parse_number(arg, argv[++i], 0, 1000000000);
    } else if (!strcmp(arg, "--pace")) {
      options.pace = parse_number(arg, argv[++i], 0, 10000);
    } else if (!strcmp(arg, "--model")) {
      options.model = argv[++i];
    } else {
      put(&err, usage);
      fail(GUEST_USAGE, "stream", arg, "unknown option");
    }
  }
}

/* Uniform in 0..1, the same on every host: xorshift64*. */
static float random_number(void) {
  static uint64_t state;
  if (!state) state = (uint64_t)options.seed * 0x9E3779B97F4A7C15u + 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (float)((state * 0x2545F4914F6CDD1Du) >> 40) / (1 << 24);
}

static int choose(const float *logits, long temperature) {
  int best = 0;
  for (int i = 1; i < CHARACTERS; i++)
    if (logits[i] > logits[best]) best = i;
  if (!temperature) return best;
  float weight[CHARACTERS], total = 0;
  for (int i = 0; i < CHARACTERS; i++) total += weight[i] = expf((logits[i] - logits[best]) * 100 / (float)temperature);
  float point = random_number() * total;
  for (int i = 0; i < CHARACTERS; i++)
    if ((point -= weight[i]) < 0) return i;
  return best;
}

/* Feeds one character; the logits say what may follow it. Returns 0 when the host has ended the sequence. */
static int step(wasi_nn_context context, int token, float *logits) {
  static const uint32_t dims[] = {1};
  const int32_t character = token;
  const wasi_nn_tensor tensor = {dims, 1, WASI_NN_I32, &character, sizeof character};
  uint32_t written = 0;
  check("set_input", NULL, wasi_nn_set_input(context, INPUT_CHARACTER, &tensor));
  uint32_t status = wasi_nn_compute_single(context);
  if (status == WASI_NN_END_OF_SEQUENCE) return 0;
  check("compute_single", NULL, status);
  check("get_output_single", NULL,
        wasi_nn_get_output_single(context, OUTPUT_LOGITS, logits, CHARACTERS * sizeof *logits, &written));
  if (written != CHARACTERS * sizeof *logits) fail(GUEST_FAILED, "get_output_single", NULL, "not one logit a character");
  return 1;
}

static void show(char *line, long length, int token) {
  const struct timespec pause = {options.pace / 1000, options.pace % 1000 * 1000000};
  if (line) line[length] = alphabet[token];
  put_char(&out, alphabet[token]);
  flush(&out);
  if (options.pace) nanosleep(&pause, NULL);
}

/* Writes one line, and keeps it in `line` when there is one. Returns its length, negative when it did not end. */
static long write_line(wasi_nn_context context, long temperature, char *line) {
  float logits[CHARACTERS];
  long length = 0;
  int token = START, going = step(context, START, logits);
  for (const char *c = options.beginning; going && *c && length < options.max; c++) {
    token = token_of(*c);
    show(line, length++, token);
    going = step(context, token, logits);
  }
  while (going && length < options.max && (token = choose(logits, temperature)) != END) {
    show(line, length++, token);
    going = step(context, token, logits);
  }
  put_char(&out, '\n');
  flush(&out);
  check("fini_single", NULL, wasi_nn_fini_single(context));
  return going && token == END ? length : -length;
}

static int self_test(wasi_nn_context context) {
  static char first[1000], second[1000];
  if (options.max > (long)sizeof first) options.max = sizeof first;
  long length = write_line(context, 0, first);
  int good = length > 20 && write_line(context, 0, second) == length && !memcmp(first, second, (size_t)length);
  put(&out, good ? "self-test ok\n" : "self-test failed: two lines from the same beginning differ, or do not end\n");
  flush(&out);
  return good ? GUEST_OK : GUEST_NOT_GOOD_ENOUGH;
}

int main(int argc, char **argv) {
  wasi_nn_graph graph;
  wasi_nn_context context;
  parse_options(argc, argv);
  check("load_by_name", options.model, wasi_nn_load_by_name(options.model, strlen(options.model), &graph));
  check("init_execution_context", NULL, wasi_nn_init_execution_context(graph, &context));
  if (options.self_test) return self_test(context);
  for (long i = 0; i < options.lines; i++) write_line(context, options.temperature, NULL);
  return GUEST_OK;
}
