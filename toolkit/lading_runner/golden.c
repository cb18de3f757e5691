#include "golden.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models.h"
#include "run.h"
#include "spec.h"

#define MOST_DOUBLE 1.7e308

/* One tensor of a vector: a file of raw bytes. */
struct file {
    struct slice tensor;
    char *dtype;
    size_t rank;
    int64_t shape[MOST_RANK];
    struct text data;
};

struct mismatch {
    struct text said; /* the fields of the event */
    struct text sentence;
};

struct comparison {
    struct slice model;
    int64_t compared;
    double worst;
    bool failed;
    struct mismatch mismatch;
    double tolerance, atol, rtol;
};

static size_t vector_index;

static _Noreturn void bad(const struct text *why) {
    struct text message = {0};
    text_say(&message, "golden vector %zu: %s", vector_index, why->data);
    run_ends("failed", 1, "golden-failed", message.data, "record the golden vectors again");
}

static void say_list(struct text *to, const int64_t *shape, size_t rank) {
    text_say(to, "[");
    for (size_t i = 0; i < rank; i++)
        text_say(to, "%s%lld", i ? ", " : "", (long long)shape[i]);
    text_say(to, "]");
}

static struct file read_file(const struct json *item) {
    struct file file = {.tensor = json_text(item, "tensor", ""), .dtype = copied(json_text(item, "dtype", ""))};
    struct text why = {0};
    int64_t count = (int64_t)dtype_bytes(file.dtype);
    for (const struct json *dim = json_first(item, "shape"); dim && file.rank < MOST_RANK; dim = dim->next) {
        file.shape[file.rank++] = dim->integer;
        if (dim->integer < 0 || __builtin_mul_overflow(count, dim->integer, &count))
            count = -1;
    }
    char *path = copied(json_text(item, "path", ""));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    text_add(&file.data, "", 0);
    if (fd < 0 || !read_all_of(fd, &file.data)) {
        text_say(&why, "[Errno %d] %s: ", errno, strerror(errno));
        text_quoted(&why, slice_of(path));
        bad(&why);
    }
    close(fd);
    free(path);
    if (!dtype_bytes(file.dtype) || count < 0 || (size_t)count != file.data.size) {
        text_say(&why, "the vector for '%.*s' is not %s ", (int)file.tensor.size, file.tensor.data, file.dtype);
        say_list(&why, file.shape, file.rank);
        text_say(&why, ": it has %zu bytes", file.data.size);
        bad(&why);
    }
    return file;
}

static bool same_shape(const struct file *file, const int32_t *shape, size_t rank) {
    if (file->rank != rank)
        return false;
    for (size_t i = 0; i < rank; i++)
        if (file->shape[i] != shape[i])
            return false;
    return true;
}

static void free_file(struct file *file) {
    text_free(&file->data);
    free(file->dtype);
}

static float half(uint16_t bits) {
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? ldexpf((float)(fraction | 1024), (int)exponent - 25)
                                : ldexpf((float)fraction, -24);
    return bits & 0x8000 ? -size : size;
}

enum number { WHOLE, REAL, OTHER };

static enum number kind_of(const char *dtype) {
    if (!strncmp(dtype, "int", 3) || !strncmp(dtype, "uint", 4))
        return WHOLE;
    return !strncmp(dtype, "float", 5) ? REAL : OTHER;
}

static double real_at(const char *dtype, const char *data, size_t i) {
    if (!strcmp(dtype, "float16")) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, 2);
        return (double)half(bits);
    }
    if (!strcmp(dtype, "float32")) {
        float value;
        memcpy(&value, data + 4 * i, 4);
        return (double)value;
    }
    double value;
    memcpy(&value, data + 8 * i, 8);
    return value;
}

static int64_t whole_at(const char *dtype, const char *data, size_t i) {
    size_t bytes = dtype_bytes(dtype);
    uint64_t value = 0;
    memcpy(&value, data + bytes * i, bytes);
    unsigned unused = (unsigned)(64 - 8 * bytes);
    return dtype[0] == 'u' ? (int64_t)value : (int64_t)(value << unused) >> unused;
}

static double as_double(const char *dtype, const char *data, size_t i) {
    if (kind_of(dtype) == REAL)
        return real_at(dtype, data, i);
    int64_t value = whole_at(dtype, data, i);
    return dtype[0] == 'u' ? (double)(uint64_t)value : (double)value;
}

static double shown(double value) { return isnan(value) || value > MOST_DOUBLE ? MOST_DOUBLE : value; }

/* A value as it stands in JSON, and as it stands in a sentence. */
static void say_value(struct text *json, struct text *sentence, const char *dtype, const char *data, size_t i) {
    struct text plain = {0};
    bool odd = false;
    switch (kind_of(dtype)) {
    case WHOLE:
        text_say(&plain, dtype[0] == 'u' ? "%llu" : "%lld", (long long)whole_at(dtype, data, i));
        break;
    case REAL:
        odd = !isfinite(real_at(dtype, data, i));
        text_double(&plain, real_at(dtype, data, i));
        break;
    case OTHER:
        text_say(&plain, "%s", data[i] ? "True" : "False");
        break;
    }
    text_add(sentence, plain.data, plain.size);
    if (odd)
        text_json(json, (struct slice){plain.data, plain.size});
    else if (kind_of(dtype) == OTHER)
        text_say(json, "%s", data[i] ? "true" : "false");
    else
        text_add(json, plain.data, plain.size);
    text_free(&plain);
}

static void tell_mismatch(struct comparison *to, const struct file *file, const char *got, size_t at, double tolerance) {
    const char *unit = kind_of(file->dtype) == WHOLE ? "steps" : kind_of(file->dtype) == REAL ? "absolute" : "equal";
    struct text *json = &to->mismatch.said, *sentence = &to->mismatch.sentence;
    size_t rest = at, index[MOST_RANK];
    for (size_t i = file->rank; i-- > 0;) {
        index[i] = rest % (size_t)file->shape[i];
        rest /= (size_t)file->shape[i];
    }
    text_say(json, "{\"tensor\":");
    text_json(json, file->tensor);
    text_say(json, ",\"at\":%zu,\"index\":[", at);
    text_say(sentence, "golden vector %zu of model '%.*s': %.*s[", vector_index, (int)to->model.size, to->model.data,
             (int)file->tensor.size, file->tensor.data);
    for (size_t i = 0; i < file->rank; i++) {
        text_say(json, "%s%zu", i ? "," : "", index[i]);
        text_say(sentence, "%s%zu", i ? ", " : "", index[i]);
    }
    text_say(sentence, "] is ");
    struct text expected_json = {0}, expected = {0}, found_json = {0};
    say_value(&found_json, sentence, file->dtype, got, at);
    say_value(&expected_json, &expected, file->dtype, file->data.data, at);
    text_say(json, "],\"expected\":%s,\"got\":%s,\"tolerance\":%.17g,\"unit\":\"%s\"}", expected_json.data, found_json.data,
             shown(tolerance), unit);
    text_say(sentence, ", expected %s (tolerance %g %s)", expected.data, shown(tolerance), unit);
    text_free(&expected_json);
    text_free(&expected);
    text_free(&found_json);
}

static void compare_values(struct comparison *to, const struct file *file, const char *got, size_t count) {
    size_t worst_at = 0, element = dtype_bytes(file->dtype);
    double worst_margin = -INFINITY, worst_tolerance = 0;
    bool wrong = false;
    for (size_t i = 0; i < count; i++) {
        double away, allowed = 0;
        if (kind_of(file->dtype) == OTHER) {
            away = memcmp(got + element * i, file->data.data + element * i, element) != 0;
        } else {
            double a = as_double(file->dtype, got, i), b = as_double(file->dtype, file->data.data, i);
            away = fabs(a - b);
            allowed = to->tolerance;
            if (kind_of(file->dtype) == REAL) {
                away = a == b || (isnan(a) && isnan(b)) ? 0 : away;
                allowed = isfinite(b) ? to->atol + to->rtol * fabs(b) : 0;
            }
        }
        double excess = isnan(away) ? INFINITY : away;
        to->worst = shown(excess) > to->worst ? shown(excess) : to->worst;
        if (excess <= allowed)
            continue;
        double margin = excess - allowed;
        if (!wrong || margin > worst_margin) {
            worst_margin = margin;
            worst_at = i;
            worst_tolerance = allowed;
        }
        wrong = true;
    }
    if (wrong && !to->failed) {
        to->failed = true;
        tell_mismatch(to, file, got, worst_at, worst_tolerance);
    }
}

static void fill_input(struct live *live, const struct json *item, struct slice model) {
    const struct facts *facts = &live->held->facts;
    struct text why = {0};
    long position = tensor_named(&facts->inputs, json_text(item, "tensor", ""));
    if (position < 0) {
        struct slice tensor = json_text(item, "tensor", "");
        text_say(&why, "model '%.*s' has no input '%.*s', but ", (int)model.size, model.data, (int)tensor.size, tensor.data);
        say_names(&why, &facts->inputs);
        bad(&why);
    }
    const struct tensor *tensor = &facts->inputs.items[position];
    struct file file = read_file(item);
    if (strcmp(file.dtype, tensor->dtype) || !same_shape(&file, tensor->shape, tensor->rank)) {
        text_say(&why, "input '%.*s' is ", (int)file.tensor.size, file.tensor.data);
        say_tensor(&why, tensor);
        text_say(&why, ", the vector has %s ", file.dtype);
        for (size_t i = 0; i < file.rank; i++)
            text_say(&why, "%s%lld", i ? "x" : "", (long long)file.shape[i]);
        bad(&why);
    }
    memcpy(live->inference->inputs[position].data, file.data.data, file.data.size);
    free_file(&file);
}

static void check_output(struct live *live, const struct json *item, struct comparison *to) {
    const struct facts *facts = &live->held->facts;
    struct text why = {0};
    struct slice name = json_text(item, "tensor", "");
    long position = tensor_named(&facts->outputs, name);
    if (position < 0) {
        text_say(&why, "model '%.*s' has no output '%.*s', but ", (int)to->model.size, to->model.data, (int)name.size, name.data);
        say_names(&why, &facts->outputs);
        bad(&why);
    }
    const struct tensor *tensor = &facts->outputs.items[position];
    const struct buffer *buffer = &live->inference->outputs[position];
    struct file file = read_file(item);
    if (strcmp(file.dtype, tensor->dtype) || !same_shape(&file, buffer->shape, buffer->rank)) {
        int64_t shape[MOST_RANK];
        for (uint32_t i = 0; i < buffer->rank; i++)
            shape[i] = buffer->shape[i];
        text_say(&why, "output '%.*s' of model '%.*s' is %s ", (int)name.size, name.data, (int)to->model.size, to->model.data, tensor->dtype);
        say_list(&why, shape, buffer->rank);
        text_say(&why, ", the vector expects %s ", file.dtype);
        say_list(&why, file.shape, file.rank);
        bad(&why);
    }
    size_t count = buffer->bytes / tensor->element;
    to->compared += (int64_t)count;
    compare_values(to, &file, (const char *)buffer->data, count);
    free_file(&file);
}

static void compare_one(const struct json *vector, struct comparison *to) {
    struct text why = {0};
    struct live live;
    struct held *held = models_find(to->model);
    if (!held) {
        text_say(&why, "there is no model named '%.*s'", (int)to->model.size, to->model.data);
        bad(&why);
    }
    if (!models_live(held, &live, &why))
        bad(&why);
    for (const struct json *item = json_first(vector, "inputs"); item; item = item->next)
        fill_input(&live, item, to->model);
    if (!inference_run(live.inference, &why))
        bad(&why);
    for (const struct json *item = json_first(vector, "outputs"); item; item = item->next)
        check_output(&live, item, to);
    live_free(&live);
}

void golden_compare(const struct json *vectors, int64_t most_bytes) {
    struct text failed = {0};
    *run_phase = PHASE_GOLDEN;
    for (const struct json *vector = vectors ? vectors->first : NULL; vector; vector = vector->next, vector_index++) {
        struct comparison result = {
            .model = json_text(vector, "model", ""),
            .tolerance = json_number(vector, "tolerance", 1),
            .atol = json_number(vector, "atol", 1e-5),
            .rtol = json_number(vector, "rtol", 1e-4),
        };
        struct held *held = models_find(result.model);
        if (held && (int64_t)held->size > most_bytes) {
            struct text message = {0};
            text_say(&message, "model '%.*s' has %zu bytes, the limit is %lld", (int)result.model.size, result.model.data, held->size,
                     (long long)most_bytes);
            run_ends("failed", 125, "model-too-large", message.data, "use a smaller model, or a target that takes it");
        }
        compare_one(vector, &result);
        struct text told = event("golden");
        text_say(&told, ",\"index\":%zu", vector_index);
        event_text(&told, "model", result.model);
        text_say(&told, ",\"ok\":%s,\"compared\":%lld,\"worst\":%.17g,\"mismatch\":%s", result.failed ? "false" : "true",
                 (long long)result.compared, result.worst, result.failed ? result.mismatch.said.data : "null");
        event_send(&told);
        if (result.failed && !failed.size)
            text_add(&failed, result.mismatch.sentence.data, result.mismatch.sentence.size);
        text_free(&result.mismatch.said);
        text_free(&result.mismatch.sentence);
    }
    if (failed.size)
        run_ends("failed", 1, "golden-mismatch", failed.data, "is the model the one that the vectors were recorded with?");
}
