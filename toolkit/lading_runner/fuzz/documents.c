/* A run's specification with its firmware profile: read, and when it is taken, worked by. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../golden.h"
#include "../models.h"
#include "../nn.h"
#include "../spec.h"
#include "fuzz.h"

enum { MEMORY = 65536 };

static int memory_file(const unsigned char *data, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))
        broken("no file in memory");
    return fd;
}

static uint32_t put(unsigned char *memory, uint32_t *at, const void *data, size_t size) {
    uint32_t here = *at;
    memcpy(memory + here, data, size);
    *at += (uint32_t)(size + 7) & ~7u;
    return here;
}

/* Every function once or more, as a well-behaved guest calls them. */
static void work(unsigned char *memory, const struct file_bytes *model) {
    uint32_t at = 8, none[5] = {0};
    uint32_t bytes = put(memory, &at, model->data, model->size);
    uint32_t builder = put(memory, &at, (uint32_t[]){bytes, (uint32_t)model->size}, 8);
    uint32_t dims = put(memory, &at, (uint32_t[]){1, 4}, 8), data = put(memory, &at, (float[]){1, 2, 3, 4}, 16);
    uint32_t tensor = put(memory, &at, (uint32_t[]){dims, 2, 1, data, 16}, 20), name = put(memory, &at, "x", 1);
    uint32_t out = put(memory, &at, (uint32_t[]){0, 0}, 8), room = at;
    nn_call(COMPUTE, none, memory, MEMORY);
    nn_call(LOAD, (uint32_t[]){builder, 1, 4, 0, out}, memory, MEMORY);
    nn_call(LOAD_BY_NAME, (uint32_t[]){name, 1, out, 0, 0}, memory, MEMORY);
    nn_call(LOAD_BY_NAME_WITH_CONFIG, (uint32_t[]){name, 1, name, 0, out}, memory, MEMORY);
    for (uint32_t context = 0; context < 2; context++) {
        nn_call(INIT_EXECUTION_CONTEXT, (uint32_t[]){context, out, 0, 0, 0}, memory, MEMORY);
        for (uint32_t type = 0; type < 7; type++) {
            memory[tensor + 8] = (unsigned char)type;
            nn_call(SET_INPUT, (uint32_t[]){context, 0, tensor, 0, 0}, memory, MEMORY);
        }
        nn_call(GET_OUTPUT, (uint32_t[]){context, 0, room, 64, out}, memory, MEMORY);
        nn_call(COMPUTE, (uint32_t[]){context, 0, 0, 0, 0}, memory, MEMORY);
        nn_call(GET_OUTPUT, (uint32_t[]){context, 0, room, 64, out}, memory, MEMORY);
        nn_call(GET_OUTPUT, (uint32_t[]){context, 0, room, 3, out}, memory, MEMORY);
        nn_call(COMPUTE_SINGLE, (uint32_t[]){context, 0, 0, 0, 0}, memory, MEMORY);
        nn_call(GET_OUTPUT_SINGLE, (uint32_t[]){context, 0, room, 64, out}, memory, MEMORY);
        nn_call(FINI_SINGLE, (uint32_t[]){context, 0, 0, 0, 0}, memory, MEMORY);
    }
    nn_call(FINALIZE_EXECUTION_CONTEXT, (uint32_t[]){1, 0, 0, 0, 0}, memory, MEMORY);
    for (uint32_t graph = 0; graph < 4; graph++)
        nn_call(UNLOAD, (uint32_t[]){graph, 0, 0, 0, 0}, memory, MEMORY);
    nn_call(LOAD, (uint32_t[]){builder, 1, 4, 0, out}, NULL, 0);
}

static const struct file_bytes *model_named(const char *name) {
    for (size_t i = 0; i < setup.models.count; i++)
        if (!strcmp(setup.models.files[i].name, name))
            return &setup.models.files[i];
    broken("there is no model %s", name);
}

static void try_document(const unsigned char *data, size_t size) {
    int fd = memory_file(data, size);
    unsigned char *memory = calloc(1, MEMORY);
    UNTIL_THE_RUN_ENDS {
        struct spec spec;
        struct profile profile;
        if (!spec_read(&spec, fd) && !profile_read(&profile, spec.personality, spec.no_backend)) {
            models_begin(spec.models, spec.model_bytes, spec.memory_bytes, profile.backend);
            nn_begin(&profile, (struct nn_limits){spec.graphs, spec.contexts, spec.model_bytes});
            if (spec.golden && spec.golden->first)
                golden_compare(spec.golden, spec.model_bytes);
            work(memory, model_named("x_f32"));
        }
    }
    run_end_disarm();
    free(memory);
    close(fd);
}

static size_t seed_document(size_t number, unsigned char *into) {
    if (number >= setup.profiles.count)
        return 0;
    const struct file_bytes *profile = &setup.profiles.files[number];
    struct text spec = {0};
    text_say(&spec, "{\"schema\":1,\"module\":\"\",\"personality\":%.*s,\"args\":[\"a\"],\"env\":{\"A\":\"b\"},\"dirs\":[],\"models\":%.*s,",
             (int)profile->size, (const char *)profile->data, (int)setup.named.size, (const char *)setup.named.data);
    text_say(&spec, "\"limits\":{\"time_s\":0.5,\"memory_bytes\":null,\"output_bytes\":1000,\"graphs\":4,\"contexts\":4,"
                    "\"model_bytes\":1000000},\"threads\":1,\"backend\":\"litert\",\"golden\":[");
    if (number % 4 == 3)
        text_say(&spec, "{\"model\":\"x\",\"tolerance\":1,\"atol\":1e-05,\"rtol\":0.0001,\"outputs\":[],\"inputs\":[{\"tensor\":\"x\","
                        "\"dtype\":\"float32\",\"shape\":[1,4],\"path\":\"/dev/null\"}]}");
    text_say(&spec, "],\"names_dir\":\"\",\"trace\":{}}");
    size_t size = spec.size < MOST_INPUT ? spec.size : MOST_INPUT;
    memcpy(into, spec.data, size);
    text_free(&spec);
    return size;
}

const struct target TARGET_DOCUMENTS = {"documents", NULL, try_document, seed_document, true, 15};
