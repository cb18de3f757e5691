#include "engine.h"

#include <string.h>

#include "wasmtime.h"

/* Every feature is set, so that a module's code is the same whether a profile names what the engine does anyway or not. */
static const struct {
    const char *name; /* in profiles */
    size_t setter;
    bool usual;        /* as WASMTIME_RELEASES have it by themselves */
    const char *needs; /* a feature that it is nothing without; in the order of what follows */
} FEATURES[] = {
    {"threads", offsetof(struct wasmtime, wasmtime_config_wasm_threads_set), true, NULL},
    {"tail-call", offsetof(struct wasmtime, wasmtime_config_wasm_tail_call_set), true, NULL},
    {"reference-types", offsetof(struct wasmtime, wasmtime_config_wasm_reference_types_set), true, NULL},
    {"simd", offsetof(struct wasmtime, wasmtime_config_wasm_simd_set), true, NULL},
    {"bulk-memory", offsetof(struct wasmtime, wasmtime_config_wasm_bulk_memory_set), true, NULL},
    {"multi-value", offsetof(struct wasmtime, wasmtime_config_wasm_multi_value_set), true, NULL},
    {"multi-memory", offsetof(struct wasmtime, wasmtime_config_wasm_multi_memory_set), true, NULL},
    {"memory64", offsetof(struct wasmtime, wasmtime_config_wasm_memory64_set), true, NULL},
    {"relaxed-simd", offsetof(struct wasmtime, wasmtime_config_wasm_relaxed_simd_set), true, "simd"},
    {"function-references", offsetof(struct wasmtime, wasmtime_config_wasm_function_references_set), true, "reference-types"},
    {"gc", offsetof(struct wasmtime, wasmtime_config_wasm_gc_set), true, "function-references"},
};

enum { FEATURE_COUNT = sizeof FEATURES / sizeof *FEATURES };

typedef void (*setter)(void *config, bool on);

static void set(void *config, setter how, const char *name, bool on, struct text *settings) {
    how(config, on);
    text_say(settings, " %s=%d", name, on);
}

static void set_features(void *config, const struct json *wanted, struct text *settings) {
    bool taken[FEATURE_COUNT];
    for (int i = 0; i < FEATURE_COUNT; i++) {
        const struct json *said = json_get(wanted, FEATURES[i].name);
        taken[i] = said ? said->kind == JSON_TRUE : FEATURES[i].usual;
        for (int j = 0; j < i && FEATURES[i].needs; j++)
            if (!strcmp(FEATURES[j].name, FEATURES[i].needs) && !taken[j])
                taken[i] = false; /* the engine panics otherwise */
        setter how;
        memcpy(&how, (const char *)&wt + FEATURES[i].setter, sizeof how);
        set(config, how, FEATURES[i].name, taken[i], settings);
        if (!strcmp(FEATURES[i].name, "reference-types") && !taken[i]) { /* components need them: it panics too */
            set(config, wt.wasmtime_config_wasm_component_model_async_set, "component-model-async", false, settings);
            set(config, wt.wasmtime_config_wasm_component_model_set, "component-model", false, settings);
        }
    }
}

void *engine_new(const struct json *features, bool parallel, struct text *settings) {
    void *config = wt.wasm_config_new();
    wt.wasmtime_config_parallel_compilation_set(config, parallel);
    set(config, wt.wasmtime_config_epoch_interruption_set, "epoch", true, settings);
    set_features(config, features, settings);
    return wt.wasm_engine_new_with_config(config);
}
