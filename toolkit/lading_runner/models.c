#include "models.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

enum { ALIGNMENT = 64 };

/* What inputs and outputs of one context may take in a run without a limit of its memory. */
static const uint64_t MOST_TENSOR_BYTES = 1 << 30;

struct named {
    struct slice name;
    struct held *held;
};

static struct {
    struct held **items;
    size_t count;
    struct named *names;
    size_t name_count;
    int64_t most_bytes;
    int64_t memory_bytes;
    bool backend;
} models;

static void keep(struct held *held) {
    models.items = need_more(models.items, (models.count + 1) * sizeof *models.items);
    models.items[models.count++] = held;
}

static void name(struct slice name, struct held *held, bool again) {
    for (size_t i = 0; i < models.name_count; i++)
        if (same(models.names[i].name, name)) {
            if (again)
                models.names[i].held = held;
            return;
        }
    models.names = need_more(models.names, (models.name_count + 1) * sizeof *models.names);
    models.names[models.name_count++] = (struct named){name, held};
}

static _Noreturn void no_model(const char *path) {
    struct text why = {0};
    text_say(&why, "a model cannot be read: [Errno %d] %s: ", errno, strerror(errno));
    text_quoted(&why, slice_of(path));
    run_ends("failed", 125, "no-model", why.data, "is the release complete?");
}

void models_begin(const struct json *specs, int64_t most_bytes, int64_t memory_bytes, bool backend) {
    models.most_bytes = most_bytes;
    models.memory_bytes = memory_bytes;
    models.backend = backend;
    for (const struct json *spec = specs ? specs->first : NULL; spec; spec = spec->next) {
        struct held *held = need(sizeof *held);
        struct stat about;
        held->spec = spec;
        held->path = copied(json_text(spec, "path", ""));
        if (stat(held->path, &about))
            no_model(held->path);
        held->size = (size_t)about.st_size;
        keep(held);
        struct slice plain = json_text(spec, "name", ""), version = json_text(spec, "version", "");
        name(plain, held, false);
        if (version.size) {
            struct text both = {0};
            text_say(&both, "%.*s@%.*s", (int)plain.size, plain.data, (int)version.size, version.data);
            name((struct slice){both.data, both.size}, held, true);
        }
    }
}

static void map(struct held *held) {
    static unsigned char nothing[1];
    if (held->data)
        return;
    if (!held->size) {
        held->data = nothing;
        return;
    }
    int fd = open(held->path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (fd < 0 || fstat(fd, &about))
        no_model(held->path);
    if ((size_t)about.st_size < held->size) {
        errno = EIO;
        no_model(held->path);
    }
    void *data = mmap(NULL, held->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        no_model(held->path);
    close(fd);
    held->data = data;
}

/* Why a named model can never be loaded here, whatever its bytes. */
static char *not_ours(const struct json *spec) {
    struct slice name = json_text(spec, "name", "");
    struct slice encoding = json_text(spec, "encoding", "tensorflowlite"), target = json_text(spec, "target", "cpu");
    struct text why = {0};
    if (!is(encoding, "tensorflowlite"))
        text_say(&why, "model '%.*s' has the encoding %.*s, this host runs tensorflowlite", (int)name.size, name.data,
                 (int)encoding.size, encoding.data);
    else if (!is(target, "cpu"))
        text_say(&why, "model '%.*s' wants the target %.*s, this host has cpu only", (int)name.size, name.data,
                 (int)target.size, target.data);
    return why.data;
}

/* LiteRT's loader refuses variables and the like, which its interpreter runs: they are taken out of its sight while it
 * reads the file. The interpreter is built later, from the bytes as they were. */
static bool hide(struct held *held, unsigned char *saved) {
    const struct facts *facts = &held->facts;
    if (held->path && mprotect(held->data, held->size, PROT_READ | PROT_WRITE))
        return false;
    for (size_t i = 0; i < facts->hidden_count; i++) {
        memcpy(saved + 4 * i, held->data + facts->hidden[i].at, facts->hidden[i].size);
        memset(held->data + facts->hidden[i].at, 0, facts->hidden[i].size);
    }
    return true;
}

static void show(struct held *held, const unsigned char *saved) {
    const struct facts *facts = &held->facts;
    for (size_t i = facts->hidden_count; i-- > 0;)
        memcpy(held->data + facts->hidden[i].at, saved + 4 * i, facts->hidden[i].size);
    if (held->path)
        mprotect(held->data, held->size, PROT_READ);
}

static bool load(struct held *held, struct text *error) {
    const struct facts *facts = &held->facts;
    if (facts->unsafe && facts->unsafe_late) {
        held->unprepared = copied(slice_of(facts->unsafe));
        return true;
    }
    if (facts->unsafe) {
        text_say(error, "%s", facts->unsafe);
        return false;
    }
    unsigned char *saved = need(4 * facts->hidden_count);
    bool hidden = !facts->hidden_count || hide(held, saved);
    if (hidden)
        held->model = litert_model(held->data, held->size, error);
    else
        text_say(error, "there is no memory for the model");
    if (hidden && facts->hidden_count)
        show(held, saved);
    free(saved);
    if (!held->model)
        return false;
    struct text unprepared = {0};
    switch (litert_compile(held->model, &held->spare, &unprepared)) {
    case COMPILED:
        return true;
    case NOT_PREPARED:
        held->unprepared = unprepared.data;
        return true;
    case NOT_BUILT:
        break;
    }
    text_add(error, unprepared.data, unprepared.size);
    text_free(&unprepared);
    return false;
}

const struct facts *models_facts(struct held *held) {
    if (held->read)
        return &held->facts;
    held->read = true;
    char *wrong = held->spec ? not_ours(held->spec) : NULL;
    if (!wrong && (int64_t)held->size > models.most_bytes) {
        struct text why = {0};
        text_say(&why, "the model has %zu bytes, limit %lld", held->size, (long long)models.most_bytes);
        wrong = why.data;
    }
    if (wrong) {
        held->facts = (struct facts){.error = wrong};
        return &held->facts;
    }
    map(held);
    held->facts = facts_read(held->data, held->size);
    struct text error = {0};
    text_say(&error, "the interpreter cannot read the model: ");
    if (!held->facts.error && models.backend && !load(held, &error))
        held->facts.error = error.data;
    else
        text_free(&error);
    return &held->facts;
}

struct held *models_given(const unsigned char *data, size_t size) {
    for (size_t i = 0; i < models.count; i++) {
        struct held *held = models.items[i];
        if (held->size != size)
            continue;
        map(held);
        if (!size || !memcmp(held->data, data, size))
            return held;
    }
    struct held *held = need(sizeof *held);
    held->size = size;
    held->data = aligned_alloc(ALIGNMENT, (size + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
    if (!held->data)
        run_is_out_of_memory();
    memcpy(held->data, data, size);
    if (!models_facts(held)->error)
        keep(held);
    return held;
}

void models_release(struct held *held) {
    for (size_t i = 0; i < models.count; i++)
        if (models.items[i] == held)
            return;
    facts_free(&held->facts);
    free(held->data);
    free(held);
}

struct held *models_find(struct slice name) {
    for (size_t i = 0; i < models.name_count; i++)
        if (same(models.names[i].name, name))
            return models.names[i].held;
    return NULL;
}

struct slice models_int8(const struct held *held) { return json_text(held->spec, "int8", "as-u8"); }

bool models_has_state(const struct held *held) { return json_first(held->spec, "state") != NULL; }

/* Declared state tensors as positions. */
static bool state_pairs(const struct held *held, struct live *into, struct text *error) {
    const struct facts *facts = &held->facts;
    const struct json *state = json_get(held->spec, "state");
    into->pairs = need((state ? state->count : 0) * sizeof *into->pairs);
    for (const struct json *item = state ? state->first : NULL; item; item = item->next) {
        long source = tensor_named(&facts->outputs, item->key), target = tensor_named(&facts->inputs, item->text);
        if (source < 0 || target < 0) {
            struct slice missing = source < 0 ? item->key : item->text;
            text_say(error, "state: the model has no %s '%.*s', but ", source < 0 ? "output" : "input", (int)missing.size, missing.data);
            say_names(error, source < 0 ? &facts->outputs : &facts->inputs);
            return false;
        }
        const struct tensor *a = &facts->outputs.items[source], *b = &facts->inputs.items[target];
        if (strcmp(a->dtype, b->dtype) || a->rank != b->rank || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape)) {
            text_say(error, "state: output '%.*s' is ", (int)item->key.size, item->key.data);
            say_tensor(error, a);
            text_say(error, ", input '%.*s' ", (int)item->text.size, item->text.data);
            say_tensor(error, b);
            return false;
        }
        into->pairs[into->pair_count++] = (struct pair){(size_t)source, (size_t)target};
    }
    return true;
}

/* An interpreter needs a model's weights once more in its own layout, and room for its tensors. */
static _Noreturn void no_room(const struct held *held) {
    struct slice name = json_text(held->spec, "name", "");
    struct text why = {0};
    if (held->spec)
        text_say(&why, "model '%.*s'", (int)name.size, name.data);
    else
        text_say(&why, "the model");
    text_say(&why, " has %zu bytes and cannot be prepared in the %lld bytes of memory that the run may use", held->size,
             (long long)models.memory_bytes);
    run_ends("failed", 125, "out-of-memory", why.data,
             "use a smaller model, or a target with more memory (--max-memory, or memory in lading.toml)");
}

bool models_live(struct held *held, struct live *into, struct text *error) {
    const struct facts *facts = models_facts(held);
    *into = (struct live){.held = held};
    if (facts->error) {
        text_say(error, "%s", facts->error);
        return false;
    }
    if (!state_pairs(held, into, error)) {
        live_free(into);
        return false;
    }
    uint64_t most = models.memory_bytes < 0 ? MOST_TENSOR_BYTES : (uint64_t)models.memory_bytes;
    bool compiles = litert_takes(facts, most, error);
    if (compiles) {
        void *compiled = held->spare;
        held->spare = NULL;
        compiles = compiled || (!held->unprepared && litert_compile(held->model, &compiled, error) == COMPILED);
        if (held->unprepared)
            text_say(error, "%s", held->unprepared);
        if (compiles)
            into->inference = inference_new(held->model, compiled, facts, most, error);
    }
    if (into->inference)
        return true;
    live_free(into);
    if (models.memory_bytes >= 0) {
        if ((int64_t)held->size * 2 >= models.memory_bytes)
            no_room(held);
        text_say(error, " (the run may use %lld bytes of memory)", (long long)models.memory_bytes);
    }
    return false;
}

void live_free(struct live *live) {
    if (live->inference)
        inference_free(live->inference);
    free(live->pairs);
    *live = (struct live){0};
}
