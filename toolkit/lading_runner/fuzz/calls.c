/* Rows of wasi-nn calls over a memory that belongs to no guest: its bounds are a heap block's, which the sanitizer knows. */
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../models.h"
#include "../nn.h"
#include "fuzz.h"

enum { MOST_CALLS = 48, MOST_PROFILES = 16, MOST_MEMORY = 1 << 19, GOOD = 200 };

static struct {
    struct profile profiles[MOST_PROFILES];
    size_t profile_count;
    const struct json *named;
    struct facts facts[MOST_FILES]; /* of the models, to ask what they are made for */
} known;

struct world {
    struct stream in;
    unsigned char *memory;
    unsigned char *before;
    size_t size;
    uint32_t free; /* where nothing was laid yet */
};

static void prepare(void) {
    for (size_t i = 0; i < setup.profiles.count && known.profile_count < MOST_PROFILES; i++) {
        const struct file_bytes *file = &setup.profiles.files[i];
        const struct json *document = json_read((struct slice){(const char *)file->data, file->size});
        if (document && !profile_read(&known.profiles[known.profile_count], document, false))
            known.profile_count++;
    }
    if (!known.profile_count)
        broken("there is no profile that the runner takes");
    known.named = json_read((struct slice){(const char *)setup.named.data, setup.named.size});
    for (size_t i = 0; i < setup.models.count; i++)
        known.facts[i] = facts_read(setup.models.files[i].data, setup.models.files[i].size);
}

/* Nothing but what a call was given to write into may change. */
static void look(const struct world *w, const struct range_at *allowed, int count, const char *name) {
    if (!memcmp(w->memory, w->before, w->size))
        return;
    for (size_t i = 0; i < w->size; i++) {
        if (w->memory[i] == w->before[i])
            continue;
        bool may = false;
        for (int a = 0; a < count; a++)
            may = may || (i >= allowed[a].at && i < allowed[a].at + allowed[a].size);
        if (!may)
            broken("%s changed guest memory at %zu, where it was given nothing to write", name, i);
    }
}

static void call(struct world *w, enum function function, const uint32_t *args) {
    struct range_at allowed[2] = {{0}};
    int count = 0;
    switch (function) {
    case LOAD:
    case LOAD_BY_NAME_WITH_CONFIG:
        allowed[count++] = (struct range_at){true, args[4], 4};
        break;
    case LOAD_BY_NAME:
        allowed[count++] = (struct range_at){true, args[2], 4};
        break;
    case INIT_EXECUTION_CONTEXT:
        allowed[count++] = (struct range_at){true, args[1], 4};
        break;
    case GET_OUTPUT:
    case GET_OUTPUT_SINGLE:
        allowed[count++] = (struct range_at){true, args[2], args[3]};
        allowed[count++] = (struct range_at){true, args[4], 4};
        break;
    default:
        break;
    }
    memcpy(w->before, w->memory, w->size);
    nn_call(function, args, w->memory, w->size);
    look(w, allowed, count, FUNCTIONS[function].name);
}

static void resize(struct world *w, size_t size) {
    unsigned char *memory = malloc(size ? size : 1), *before = malloc(size ? size : 1);
    if (!memory || !before)
        broken("no memory");
    memset(memory, 0, size ? size : 1);
    if (w->memory)
        memcpy(memory, w->memory, size < w->size ? size : w->size);
    free(w->memory);
    free(w->before);
    *w = (struct world){w->in, memory, before, size, w->free};
}

/* Room that was not used yet; from the beginning again when there is none. */
static uint32_t place(struct world *w, const void *data, size_t size) {
    if (size > w->size)
        return (uint32_t)(w->size - take_below(&w->in, (uint32_t)w->size + 1));
    if (size > w->size - w->free)
        w->free = 0;
    uint32_t at = w->free;
    if (data)
        memcpy(w->memory + at, data, size);
    w->free += (uint32_t)size;
    return at;
}

static uint32_t place_u32s(struct world *w, const uint32_t *values, int count) { return place(w, values, 4 * (size_t)count); }

/* What is right, now and then replaced. */
static uint32_t mostly(struct world *w, uint32_t right) { return take_u8(&w->in) < GOOD ? right : take_number(&w->in, (uint32_t)w->size); }

static void load(struct world *w) {
    const struct file_bytes *model = &setup.models.files[take_below(&w->in, (uint32_t)setup.models.count)];
    size_t size = model->size;
    uint32_t how = take_u8(&w->in), at = place(w, model->data, size);
    if (how > 160 && at + size <= w->size)
        for (uint32_t i = 0; i < how % 8; i++)
            w->memory[at + take_u32(&w->in) % size] ^= (unsigned char)take_u8(&w->in);
    if (how > 245)
        size = take_u32(&w->in) % size;
    uint32_t builder[] = {at, mostly(w, (uint32_t)size), at, (uint32_t)size};
    uint32_t builders = mostly(w, place_u32s(w, builder, 4)), out = mostly(w, place(w, NULL, 4));
    call(w, LOAD, (uint32_t[]){builders, mostly(w, 1), mostly(w, 4), mostly(w, 0), out});
}

static void load_by_name(struct world *w, bool config) {
    static const char *const names[] = {"stream", "digits", "digits@1.0.0", "x", "gpu", "", "\xff\xfe", "gone"};
    const char *name = names[take_below(&w->in, sizeof names / sizeof *names)];
    uint32_t at = mostly(w, place(w, name, strlen(name))), size = mostly(w, (uint32_t)strlen(name));
    uint32_t out = mostly(w, place(w, NULL, 4));
    if (config)
        call(w, LOAD_BY_NAME_WITH_CONFIG, (uint32_t[]){at, size, mostly(w, place(w, "{}", 2)), mostly(w, 2), out});
    else
        call(w, LOAD_BY_NAME, (uint32_t[]){at, size, out, 0, 0});
}

static uint32_t code_of(const struct tensor *tensor) {
    static const char *const names[] = {"float16", "float32", "float64", "uint8", "int32", "int64"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], tensor->dtype))
            return i;
    return 3;
}

static void set_input(struct world *w) {
    const struct facts *facts = &known.facts[take_below(&w->in, (uint32_t)setup.models.count)];
    uint32_t dims[MOST_RANK] = {0}, rank = 0, code = 1, bytes = 16, index = take_below(&w->in, 2);
    if (index < facts->inputs.count) {
        const struct tensor *tensor = &facts->inputs.items[index];
        rank = tensor->rank;
        code = code_of(tensor);
        bytes = (uint32_t)tensor->bytes;
        for (uint32_t i = 0; i < rank; i++)
            dims[i] = (uint32_t)tensor->shape[i];
        if (take_u8(&w->in) > 220) { /* as floats */
            code = 1;
            bytes = (uint32_t)tensor->count * 4;
        }
    }
    for (uint32_t i = 0; i < rank; i++)
        if (take_u8(&w->in) > 245)
            dims[i] = take_number(&w->in, dims[i]);
    uint32_t data = place(w, NULL, bytes);
    for (uint32_t i = 0; i < 8 && w->size && data < w->size; i++)
        w->memory[data + take_u8(&w->in) % (w->size - data)] = (unsigned char)take_u8(&w->in);
    uint32_t record[] = {mostly(w, place_u32s(w, dims, (int)rank)), mostly(w, rank), mostly(w, code), mostly(w, data), mostly(w, bytes)};
    uint32_t tensor = mostly(w, place_u32s(w, record, 5));
    call(w, SET_INPUT, (uint32_t[]){mostly(w, take_below(&w->in, 3)), mostly(w, index), tensor, 0, 0});
}

static void get_output(struct world *w, bool single) {
    uint32_t size = 1u << take_below(&w->in, 11), at = mostly(w, place(w, NULL, size)), out = mostly(w, place(w, NULL, 4));
    call(w, single ? GET_OUTPUT_SINGLE : GET_OUTPUT,
         (uint32_t[]){mostly(w, take_below(&w->in, 3)), mostly(w, take_below(&w->in, 2)), at, mostly(w, size), out});
}

static void anything(struct world *w) {
    uint32_t args[5];
    enum function function = (enum function)take_below(&w->in, FUNCTION_COUNT);
    for (int i = 0; i < 5; i++)
        args[i] = take_number(&w->in, take_u8(&w->in) & 1 ? (uint32_t)w->size : w->free);
    call(w, function, args);
}

static void handles(struct world *w, enum function function) {
    uint32_t args[5] = {mostly(w, take_below(&w->in, 3))};
    if (function == INIT_EXECUTION_CONTEXT)
        args[1] = mostly(w, place(w, NULL, 4));
    call(w, function, args);
}

static void one_call(struct world *w) {
    switch (take_below(&w->in, 22)) {
    case 0: case 1: case 2:
        load(w);
        break;
    case 3:
        load_by_name(w, false);
        break;
    case 4:
        load_by_name(w, true);
        break;
    case 5: case 6: case 7:
        handles(w, INIT_EXECUTION_CONTEXT);
        break;
    case 8: case 9: case 10:
        set_input(w);
        break;
    case 11: case 12:
        handles(w, COMPUTE);
        break;
    case 13: case 14:
        get_output(w, false);
        break;
    case 15:
        get_output(w, true);
        break;
    case 16:
        handles(w, COMPUTE_SINGLE);
        break;
    case 17:
        handles(w, FINI_SINGLE);
        break;
    case 18:
        handles(w, take_u8(&w->in) & 1 ? UNLOAD : FINALIZE_EXECUTION_CONTEXT);
        break;
    case 19:
        resize(w, w->size + 65536 * take_below(&w->in, 2) > MOST_MEMORY ? w->size : w->size + 65536 * take_below(&w->in, 2));
        break;
    default:
        anything(w);
        break;
    }
}

static void let_go(void) {
    for (uint32_t i = 0; i < 2 * MOST_CALLS; i++)
        nn_call(UNLOAD, (uint32_t[]){i, 0, 0, 0, 0}, NULL, 0);
}

static void try_calls(const unsigned char *data, size_t size) {
    static const size_t sizes[] = {0, 1, 3, 4, 20, 4096, 65536, 131072, 262144};
    struct world world = {.in = {data, size}}, *w = &world;
    const struct profile *profile = &known.profiles[take_below(&w->in, (uint32_t)known.profile_count)];
    uint32_t how = take_u8(&w->in);
    resize(w, how < 230 ? 262144 : sizes[take_below(&w->in, sizeof sizes / sizeof *sizes)]);
    struct nn_limits limits = {mostly(w, 64), mostly(w, 64), mostly(w, 1 << 20)};
    models_begin(known.named, take_u8(&w->in) < 230 ? 1 << 20 : 1000, take_u8(&w->in) < 230 ? -1 : 1 << 20, profile->backend);
    nn_begin(profile, limits);
    UNTIL_THE_RUN_ENDS {
        for (int i = 0; i < MOST_CALLS && world.in.left; i++)
            one_call(w);
        let_go();
    }
    run_end_disarm();
    free(world.memory);
    free(world.before);
}

/* One whole model: read, prepared, run with what it asks for, and read out. */
static void run_model(struct world *w, const unsigned char *data, size_t size) {
    struct facts facts = facts_read(data, size);
    uint32_t model = place(w, data, size), out = place(w, NULL, 4);
    uint32_t builder = place_u32s(w, (uint32_t[]){model, (uint32_t)size}, 2);
    call(w, LOAD, (uint32_t[]){builder, 1, 4, 0, out});
    call(w, INIT_EXECUTION_CONTEXT, (uint32_t[]){0, out, 0, 0, 0});
    for (size_t i = 0; i < facts.inputs.count && i < 4; i++) {
        const struct tensor *tensor = &facts.inputs.items[i];
        if (tensor->bytes > w->size / 4)
            continue;
        uint32_t dims = place(w, tensor->shape, tensor->rank * 4), bytes = place(w, NULL, tensor->bytes);
        uint32_t record[] = {dims, tensor->rank, code_of(tensor), bytes, (uint32_t)tensor->bytes};
        call(w, SET_INPUT, (uint32_t[]){0, (uint32_t)i, place_u32s(w, record, 5), 0, 0});
    }
    facts_free(&facts);
    for (int turn = 0; turn < 2; turn++) {
        call(w, COMPUTE, (uint32_t[]){0, 0, 0, 0, 0});
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t room = place(w, NULL, 4096);
            call(w, GET_OUTPUT, (uint32_t[]){0, i, room, 4096, out});
        }
    }
}

static void try_model(const unsigned char *data, size_t size) {
    struct world world = {0};
    resize(&world, 262144);
    models_begin(NULL, 1 << 20, -1, true);
    nn_begin(&known.profiles[0], (struct nn_limits){64, 64, 1 << 20});
    UNTIL_THE_RUN_ENDS {
        unsigned char *exact = malloc(size ? size : 1); /* so that a byte too far is one outside the block */
        memcpy(exact, data, size);
        run_model(&world, exact, size);
        free(exact);
        let_go();
    }
    run_end_disarm();
    free(world.memory);
    free(world.before);
}

static size_t seed_calls(size_t number, unsigned char *into) {
    if (number >= 64)
        return 0;
    uint64_t random = number + 1;
    size_t size = 64 + random_below(&random, 900);
    for (size_t i = 0; i < size; i++)
        into[i] = (unsigned char)random_below(&random, 256);
    into[0] = 0;
    into[1] = 0;
    return size;
}

static size_t seed_model(size_t number, unsigned char *into) {
    while (number < setup.models.count && setup.models.files[number].size > MOST_INPUT)
        number++;
    if (number >= setup.models.count)
        return 0;
    memcpy(into, setup.models.files[number].data, setup.models.files[number].size);
    return setup.models.files[number].size;
}

const struct target TARGET_CALLS = {"calls", prepare, try_calls, seed_calls, false, 45};
const struct target TARGET_MODELS = {"models", NULL, try_model, seed_model, false, 25};
