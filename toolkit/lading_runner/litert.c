#include "litert.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run.h"
#include "spec.h"

enum { MOST_LITERT_RANK = 8, MOST_ELEMENT = 8, ALIGNMENT = 64, OVERREAD = 256, CANARY = 8, CPU = 1, MANY_BYTES = 1 << 20 };
enum { OPTION_ACCELERATORS = 24, OPTION_SEVERITY = 25, VALUE_INTEGER = 2, SEVERITY_WARNING = 2 };

struct option {
    int tag;
    struct {
        int type;
        int64_t integer;
    } value;
};

struct layout {
    uint32_t rank_and_strides; /* the rank in the low seven bits */
    int32_t dimensions[MOST_LITERT_RANK];
    uint32_t strides[MOST_LITERT_RANK];
};

struct ranked {
    int element;
    struct layout layout;
};

_Static_assert(sizeof(struct option) == 24, "LiteRT's option has 24 bytes");
_Static_assert(sizeof(struct ranked) == 72, "LiteRT's ranked tensor type has 72 bytes");

/* Every function returns 0 when all is well. Handles are pointers. */
#define LITERT_FUNCTIONS(X)                                                                                            \
    X(CreateEnvironment, int, (int count, const struct option *options, void **environment))                          \
    X(CreateModelFromBuffer, int, (void *environment, const void *data, size_t size, void **model))                   \
    X(CreateOptions, int, (void **options))                                                                           \
    X(SetOptionsHardwareAccelerators, int, (void *options, int accelerators))                                         \
    X(CreateOpaqueOptions, int, (const char *name, void *payload, void (*release)(void *), void **opaque))            \
    X(AddOpaqueOptions, int, (void *options, void *opaque))                                                           \
    X(DestroyOptions, void, (void *options))                                                                          \
    X(CreateCompiledModel, int, (void *environment, void *model, void *options, void **compiled))                     \
    X(DestroyCompiledModel, void, (void *compiled))                                                                   \
    X(GetNumModelSignatures, int, (void *model, size_t *count))                                                       \
    X(GetModelSignature, int, (void *model, size_t index, void **signature))                                          \
    X(GetModelSubgraph, int, (void *model, size_t index, void **graph))                                               \
    X(GetSignatureSubgraph, int, (void *signature, void **graph))                                                     \
    X(GetNumSignatureInputs, int, (void *signature, size_t *count))                                                   \
    X(GetNumSignatureOutputs, int, (void *signature, size_t *count))                                                  \
    X(GetSignatureInputTensorByIndex, int, (void *signature, size_t index, void **tensor))                            \
    X(GetSignatureOutputTensorByIndex, int, (void *signature, size_t index, void **tensor))                           \
    X(GetTensorIndex, int, (void *tensor, uint32_t *index))                                                           \
    X(GetRankedTensorType, int, (void *tensor, struct ranked *type))                                                  \
    X(GetCompiledModelInputBufferRequirements, int, (void *compiled, size_t signature, size_t index, void **needed))  \
    X(GetTensorBufferRequirementsBufferSize, int, (void *needed, size_t *size))                                       \
    X(GetCompiledModelOutputTensorLayouts, int,                                                                       \
      (void *compiled, size_t signature, size_t count, struct layout *layouts, bool allocate))                        \
    X(CreateTensorBufferFromHostMemory, int,                                                                          \
      (const struct ranked *type, void *data, size_t size, void (*release)(void *), void **buffer))                   \
    X(DestroyTensorBuffer, void, (void *buffer))                                                                      \
    X(RunCompiledModel, int,                                                                                          \
      (void *compiled, size_t signature, size_t inputs, void **input, size_t outputs, void **output))

#define DECLARE(name, result, params) result(*name) params;
static struct {
    LITERT_FUNCTIONS(DECLARE)
} lrt;

static void *environment;

static struct {
    const char *path;
    int threads;
} wanted;

const char *litert_expect(const char *path, const char *version, int threads) {
    struct text why = {0};
    wanted.path = path;
    wanted.threads = threads;
    if (begins_with_one_of(version, LITERT_RELEASES))
        return NULL;
    text_say(&why, "ai-edge-litert is %s, this runner is made for releases %s", version, LITERT_RELEASES);
    return why.data;
}

static const char *load_library(void) {
    struct text why = {0};
    void *library = dlopen(wanted.path, RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        text_say(&why, "the library of ai-edge-litert cannot be loaded: %s", dlerror());
        return why.data;
    }
#define FIND(name, result, params)                                                                                     \
    *(void **)&lrt.name = dlsym(library, "LiteRt" #name);                                                              \
    if (!lrt.name) {                                                                                                   \
        text_say(&why, "the library of ai-edge-litert has no function LiteRt" #name);                                  \
        return why.data;                                                                                               \
    }
    LITERT_FUNCTIONS(FIND)
    /* Without the first option it opens GPU libraries by bare name, which kill the process on some boards. */
    struct option options[] = {{OPTION_ACCELERATORS, {VALUE_INTEGER, CPU}}, {OPTION_SEVERITY, {VALUE_INTEGER, SEVERITY_WARNING}}};
    int status = lrt.CreateEnvironment(2, options, &environment);
    if (!status)
        return NULL;
    text_say(&why, "LiteRT does not start: status %d", status);
    return why.data;
}

/* A guest that loads no model never pays for the interpreter. */
static void begin(void) {
    const char *why = environment ? NULL : load_library();
    if (why)
        run_ends("failed", 125, "no-engine", why, ENGINES_REMEDY);
}

static void say_status(struct text *error, const char *what, int status, int64_t since) {
    size_t before = error->size;
    run_log_error(error, since);
    if (error->size == before)
        text_say(error, "%s: LiteRT's status %d", what, status);
}

void *litert_model(const unsigned char *data, size_t size, struct text *error) {
    void *model = NULL;
    begin();
    int64_t since = run_log_size();
    int status = lrt.CreateModelFromBuffer(environment, data, size, &model);
    if (!status)
        return model;
    say_status(error, "the model", status, since);
    return NULL;
}

/* What the interpreter says when it cannot even be built; its words when a tensor or an operator cannot be prepared are
 * many, and each kernel has its own. */
static const char *const UNBUILT[] = {
    "Failed to build TFL interpreter", "Registration failed.",
    "is invalidly specified in schema.", "has invalid quantization parameters.",
    "has invalid sparsity parameters.", "Missing registration for opcode_index",
    "Input array not provided for operation",
};

static bool built(int64_t since) {
    for (size_t i = 0; i < sizeof UNBUILT / sizeof *UNBUILT; i++)
        if (run_log_has(since, UNBUILT[i]))
            return false;
    return true;
}

enum compiled litert_compile(void *model, void **compiled, struct text *error) {
    void *options = NULL, *opaque = NULL;
    struct text threads = {0};
    text_say(&threads, "num_threads = %d\n", wanted.threads);
    int64_t since = run_log_size();
    int status = lrt.CreateOptions(&options);
    if (!status)
        status = lrt.SetOptionsHardwareAccelerators(options, CPU);
    if (!status)
        status = lrt.CreateOpaqueOptions("xnnpack", threads.data, free, &opaque);
    if (!status)
        status = lrt.AddOpaqueOptions(options, opaque);
    if (!status)
        status = lrt.CreateCompiledModel(environment, model, options, compiled);
    if (options)
        lrt.DestroyOptions(options);
    if (!status)
        return COMPILED;
    say_status(error, "the interpreter", status, since);
    return built(since) ? NOT_PREPARED : NOT_BUILT;
}

static size_t rounded(size_t size, size_t to) { return (size + to - 1) / to * to; }

/* Memory that ends shortly before a page that nobody may touch. Kernels may read a little behind a tensor, never write. */
static bool guarded(struct buffer *buffer) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), tail = rounded(buffer->bytes, ALIGNMENT) + OVERREAD;
    size_t inside = rounded(tail, page);
    buffer->mapped = inside + 2 * page;
    void *mapping = mmap(NULL, buffer->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return false;
    buffer->mapping = mapping;
    if (mprotect((char *)mapping + page, inside, PROT_READ | PROT_WRITE))
        return false;
    buffer->data = (unsigned char *)mapping + page + inside - tail;
    return true;
}

static const unsigned char canary[CANARY] = {0xA5, 0x5A, 0xC3, 0x3C, 0x96, 0x69, 0xF0, 0x0F};

void fill_zero(const struct tensor *facts, struct buffer *buffer) {
    int64_t zero = facts->quantized ? facts->zero_point : 0;
    /* Zeros that nobody looks at take no time and no memory when the kernel brings the pages anew. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!zero && buffer->mapping && buffer->bytes >= MANY_BYTES &&
        !madvise((char *)buffer->mapping + page, buffer->mapped - 2 * page, MADV_DONTNEED))
        return;
    if (facts->element == 2)
        for (size_t i = 0; i + 1 < buffer->bytes; i += 2)
            memcpy(buffer->data + i, &(int16_t){(int16_t)zero}, 2);
    else
        memset(buffer->data, (int)(zero & 0xFF), buffer->bytes);
}

static bool refuse(struct text *error, const char *why) {
    text_say(error, "%s", why);
    return false;
}

/* What the tensors of one inference may take. */
struct room {
    uint64_t most, left;
};

static bool roomy(struct room *room, uint64_t bytes, const char *side, const struct tensor *tensor, struct text *error) {
    if (bytes <= room->left) {
        room->left -= bytes;
        return true;
    }
    text_say(error, "%s '", side);
    text_utf8(error, tensor->name);
    text_say(error, "' is ");
    say_tensor(error, tensor);
    text_say(error, ": inputs and outputs may have %llu bytes together", (unsigned long long)room->most);
    return false;
}

bool litert_takes(const struct facts *facts, uint64_t most, struct text *error) {
    struct room room = {most, most};
    for (size_t i = 0; i < facts->inputs.count; i++)
        if (!roomy(&room, facts->inputs.items[i].bytes, "input", &facts->inputs.items[i], error))
            return false;
    return true;
}

#define BY_DATA "the size of an output is known only while the model runs: such models need the Python host"
#define OTHER_TENSORS "the interpreter sees other inputs and outputs than the model's file says"

/* The signature of the main graph: LiteRT runs signatures, and gives a model without one a signature of its own. */
static void *main_signature(struct inference *inference, void *model) {
    void *main = NULL, *signature = NULL, *graph = NULL;
    size_t count = 0;
    if (lrt.GetModelSubgraph(model, 0, &main) || lrt.GetNumModelSignatures(model, &count))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!lrt.GetModelSignature(model, i, &signature) && !lrt.GetSignatureSubgraph(signature, &graph) && graph == main) {
            inference->signature = i;
            return signature;
        }
    return NULL;
}

/* The memory that a tensor has already under another index, where the model's file lists it twice. */
static struct buffer *known(struct inference *inference, const struct facts *facts, uint32_t number, bool input, size_t index) {
    for (size_t i = 0; i < (input ? index : inference->input_count); i++)
        if (facts->inputs.items[i].number == number)
            return &inference->inputs[i];
    for (size_t i = 0; !input && i < index; i++)
        if (facts->outputs.items[i].number == number)
            return &inference->outputs[i];
    return NULL;
}

static bool make_buffer(struct inference *inference, void *signature, const struct facts *facts, bool input, size_t index,
                        struct room *room, struct text *error) {
    const struct tensor *tensor = input ? &facts->inputs.items[index] : &facts->outputs.items[index];
    struct buffer *buffer = input ? &inference->inputs[index] : &inference->outputs[index];
    void *handle = NULL, *needed = NULL;
    uint32_t number = 0;
    size_t size = 0;
    struct ranked type;
    int status = (input ? lrt.GetSignatureInputTensorByIndex : lrt.GetSignatureOutputTensorByIndex)(signature, index, &handle);
    if (status || lrt.GetTensorIndex(handle, &number) || number != tensor->number)
        return refuse(error, OTHER_TENSORS);
    if (!tensor->element || tensor->element > MOST_ELEMENT) {
        text_say(error, "tensor '%.*s' has elements of type %s, which cannot be handed over", (int)tensor->name.size, tensor->name.data,
                 tensor->dtype);
        return false;
    }
    if (tensor->rank > MOST_LITERT_RANK || lrt.GetRankedTensorType(handle, &type)) {
        text_say(error, "tensor '%.*s' has %u dimensions, or none that are known", (int)tensor->name.size, tensor->name.data, tensor->rank);
        return false;
    }
    if (!input) {
        size = buffer->bytes;
    } else if (lrt.GetCompiledModelInputBufferRequirements(inference->compiled, inference->signature, index, &needed) ||
               lrt.GetTensorBufferRequirementsBufferSize(needed, &size)) {
        text_say(error, "the interpreter does not say how large tensor '%.*s' is", (int)tensor->name.size, tensor->name.data);
        return false;
    }
    if (input && size != tensor->bytes) {
        text_say(error, "input '%.*s' is ", (int)tensor->name.size, tensor->name.data);
        say_tensor(error, tensor);
        text_say(error, ", the interpreter has %zu bytes", size);
        return false;
    }
    if (!roomy(room, size, input ? "input" : "output", tensor, error))
        return false;
    buffer->bytes = size;
    struct buffer *other = known(inference, facts, number, input, index);
    if (other && other->bytes != size)
        return refuse(error, OTHER_TENSORS);
    if (other)
        buffer->data = other->data;
    else if (!guarded(buffer))
        return refuse(error, "there is no memory for a tensor");
    else if (!input)
        memcpy(buffer->data + size, canary, CANARY);
    type.layout.rank_and_strides = input ? tensor->rank : buffer->rank;
    memcpy(type.layout.dimensions, input ? tensor->shape : buffer->shape, sizeof buffer->shape);
    void **into = input ? &inference->input_handles[index] : &inference->output_handles[index];
    status = lrt.CreateTensorBufferFromHostMemory(&type, buffer->data, size, NULL, into);
    if (status) {
        text_say(error, "tensor '%.*s' gets no memory: LiteRT's status %d", (int)tensor->name.size, tensor->name.data, status);
        return false;
    }
    return true;
}

/* The outputs as the interpreter has them now: what its file says of one may be wrong. Asked for the first time, they
 * are taken for granted; later their sizes must be the same. */
static bool read_layouts(struct inference *inference, const struct facts *facts, bool first, struct text *error) {
    size_t count = facts->outputs.count;
    struct layout *layouts = need(count * sizeof *layouts);
    bool good = !lrt.GetCompiledModelOutputTensorLayouts(inference->compiled, inference->signature, count, layouts, true);
    for (size_t i = 0; i < count && good; i++) {
        struct buffer *buffer = &inference->outputs[i];
        size_t bytes = facts->outputs.items[i].element;
        buffer->rank = layouts[i].rank_and_strides & 127;
        good = buffer->rank <= MOST_LITERT_RANK;
        for (uint32_t d = 0; d < buffer->rank && good; d++) {
            buffer->shape[d] = layouts[i].dimensions[d];
            good = buffer->shape[d] >= 0 && !__builtin_mul_overflow(bytes, (size_t)buffer->shape[d], &bytes);
        }
        if (first)
            buffer->bytes = bytes;
        good = good && bytes == buffer->bytes;
    }
    free(layouts);
    return good || refuse(error, "the interpreter does not say how large the outputs are, or each time something else");
}

static bool prepare(struct inference *inference, void *model, const struct facts *facts, uint64_t most, struct text *error) {
    struct room room = {most, most};
    size_t said = error->size;
    void *signature = main_signature(inference, model);
    size_t inputs = 0, outputs = 0;
    if (!signature || lrt.GetNumSignatureInputs(signature, &inputs) || lrt.GetNumSignatureOutputs(signature, &outputs) ||
        inputs != facts->inputs.count || outputs != facts->outputs.count)
        return refuse(error, OTHER_TENSORS);
    inference->inputs = need(inputs * sizeof *inference->inputs);
    inference->outputs = need(outputs * sizeof *inference->outputs);
    inference->input_handles = need(inputs * sizeof(void *));
    inference->output_handles = need(outputs * sizeof(void *));
    for (; inference->input_count < inputs; inference->input_count++)
        if (!make_buffer(inference, signature, facts, true, inference->input_count, &room, error))
            return false;
    for (size_t i = 0; i < inputs; i++)
        if (facts->inputs.items[i].quantized) /* new memory is zero */
            fill_zero(&facts->inputs.items[i], &inference->inputs[i]);
    /* Allocated before the first run, LiteRT takes no memory of ours for an output whose size only a run can tell;
     * otherwise it could write a result of any size into the memory that was made for the size known before. */
    if (!read_layouts(inference, facts, true, error))
        return false;
    for (; inference->output_count < outputs; inference->output_count++)
        if (!make_buffer(inference, signature, facts, false, inference->output_count, &room, error))
            return false;
    if (facts->stateful)
        return true;
    if (!inference_run(inference, error) || !read_layouts(inference, facts, false, error)) {
        if (!facts->shaped_by_data)
            return false;
        error->size = said; /* the interpreter's own words would not help */
        return refuse(error, BY_DATA);
    }
    for (size_t i = 0; i < inputs; i++)
        fill_zero(&facts->inputs.items[i], &inference->inputs[i]);
    return true;
}

struct inference *inference_new(void *model, void *compiled, const struct facts *facts, uint64_t most, struct text *error) {
    struct inference *inference = need(sizeof *inference);
    inference->compiled = compiled;
    if (prepare(inference, model, facts, most, error))
        return inference;
    inference->input_count += inference->inputs && inference->input_count < facts->inputs.count;
    inference->output_count += inference->outputs && inference->output_count < facts->outputs.count;
    inference_free(inference);
    return NULL;
}

static void free_buffers(struct buffer *buffers, void **handles, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (handles[i])
            lrt.DestroyTensorBuffer(handles[i]);
        if (buffers[i].mapping)
            munmap(buffers[i].mapping, buffers[i].mapped);
    }
    free(buffers);
    free(handles);
}

void inference_free(struct inference *inference) {
    lrt.DestroyCompiledModel(inference->compiled);
    free_buffers(inference->inputs, inference->input_handles, inference->input_count);
    free_buffers(inference->outputs, inference->output_handles, inference->output_count);
    free(inference);
}

bool inference_run(struct inference *inference, struct text *error) {
    int64_t since = run_drained(); /* asking for the log's size would cost a system call each time */
    int status = lrt.RunCompiledModel(inference->compiled, inference->signature, inference->input_count, inference->input_handles,
                                      inference->output_count, inference->output_handles);
    if (status) {
        say_status(error, "the inference", status, since);
        return false;
    }
    for (size_t i = 0; i < inference->output_count; i++) {
        struct buffer *buffer = &inference->outputs[i];
        if (buffer->mapping && memcmp(buffer->data + buffer->bytes, canary, CANARY))
            run_ends("failed", 125, "interpreter-crashed", "the interpreter wrote behind the end of an output tensor",
                     "the model makes the interpreter misbehave: try the model on the host first (lading emulate --host python)");
    }
    return true;
}
