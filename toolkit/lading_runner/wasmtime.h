/* wasmtime's C API, as far as it is used: own declarations, looked up in a library when the run begins. */
#ifndef LADING_WASMTIME_H
#define LADING_WASMTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The releases whose functions and structures these declarations describe. */
#define WASMTIME_RELEASES "49. 50."

struct wt_bytes {
    size_t size;
    char *data;
};

struct wt_list {
    size_t size;
    void **data;
};

/* A place in a store: function, memory or instance. */
struct wt_func {
    uint64_t store;
    void *inner;
};

struct wt_memory {
    struct {
        uint64_t store;
        uint32_t inner;
    } at;
    uint32_t inner;
};

struct wt_instance {
    uint64_t store;
    size_t inner;
};

enum { WT_EXTERN_FUNC, WT_EXTERN_GLOBAL, WT_EXTERN_TABLE, WT_EXTERN_MEMORY };

struct wt_extern {
    uint8_t kind;
    union {
        struct wt_func func;
        struct wt_memory memory;
        uint64_t room[3];
    } of;
};

union wt_raw {
    int32_t i32;
    int64_t i64;
    unsigned char v128[16];
};

_Static_assert(sizeof(struct wt_func) == 16, "wasmtime's function has 16 bytes");
_Static_assert(sizeof(struct wt_memory) == 24, "wasmtime's memory has 24 bytes");
_Static_assert(sizeof(struct wt_extern) == 32, "wasmtime's extern has 32 bytes");
_Static_assert(sizeof(union wt_raw) == 16, "wasmtime's raw value has 16 bytes");

typedef void *(*wt_callback)(void *data, void *caller, union wt_raw *values, size_t count);

#define WASMTIME_FUNCTIONS(X)                                                                                          \
    X(wasm_config_new, void *, (void))                                                                                \
    X(wasm_engine_new_with_config, void *, (void *config))                                                            \
    X(wasm_byte_vec_delete, void, (struct wt_bytes *bytes))                                                           \
    X(wasm_valtype_new, void *, (uint8_t kind))                                                                       \
    X(wasm_valtype_kind, uint8_t, (const void *type))                                                                 \
    X(wasm_valtype_vec_new, void, (struct wt_list *list, size_t size, void *const *items))                            \
    X(wasm_functype_new, void *, (struct wt_list *params, struct wt_list *results))                                   \
    X(wasm_functype_params, const struct wt_list *, (const void *type))                                               \
    X(wasm_functype_results, const struct wt_list *, (const void *type))                                              \
    X(wasm_externtype_as_functype_const, const void *, (const void *type))                                            \
    X(wasm_externtype_as_memorytype_const, const void *, (const void *type))                                          \
    X(wasm_importtype_module, const struct wt_bytes *, (const void *import))                                          \
    X(wasm_importtype_name, const struct wt_bytes *, (const void *import))                                            \
    X(wasm_importtype_type, const void *, (const void *import))                                                       \
    X(wasm_exporttype_name, const struct wt_bytes *, (const void *export))                                            \
    X(wasm_exporttype_type, const void *, (const void *export))                                                       \
    X(wasm_trap_message, void, (const void *trap, struct wt_bytes *message))                                          \
    X(wasmtime_trap_code, bool, (const void *trap, uint8_t *code))                                                    \
    X(wasmtime_error_message, void, (const void *error, struct wt_bytes *message))                                    \
    X(wasmtime_error_exit_status, bool, (const void *error, int *status))                                             \
    X(wasmtime_error_delete, void, (void *error))                                                                      \
    X(wasmtime_config_parallel_compilation_set, void, (void *config, bool on))                                         \
    X(wasmtime_config_epoch_interruption_set, void, (void *config, bool on))                                          \
    X(wasmtime_config_wasm_threads_set, void, (void *config, bool on))                                                \
    X(wasmtime_config_wasm_tail_call_set, void, (void *config, bool on))                                              \
    X(wasmtime_config_wasm_reference_types_set, void, (void *config, bool on))                                        \
    X(wasmtime_config_wasm_simd_set, void, (void *config, bool on))                                                   \
    X(wasmtime_config_wasm_bulk_memory_set, void, (void *config, bool on))                                            \
    X(wasmtime_config_wasm_multi_value_set, void, (void *config, bool on))                                            \
    X(wasmtime_config_wasm_multi_memory_set, void, (void *config, bool on))                                           \
    X(wasmtime_config_wasm_memory64_set, void, (void *config, bool on))                                               \
    X(wasmtime_config_wasm_relaxed_simd_set, void, (void *config, bool on))                                           \
    X(wasmtime_config_wasm_function_references_set, void, (void *config, bool on))                                    \
    X(wasmtime_config_wasm_gc_set, void, (void *config, bool on))                                                     \
    X(wasmtime_config_wasm_component_model_set, void, (void *config, bool on))                                        \
    X(wasmtime_config_wasm_component_model_async_set, void, (void *config, bool on))                                  \
    X(wasmtime_engine_increment_epoch, void, (void *engine))                                                          \
    X(wasmtime_module_new, void *, (void *engine, const uint8_t *data, size_t size, void **module))                   \
    X(wasmtime_module_deserialize, void *, (void *engine, const uint8_t *data, size_t size, void **module))            \
    X(wasmtime_module_serialize, void *, (void *module, struct wt_bytes *data))                                        \
    X(wasmtime_module_imports, void, (void *module, struct wt_list *imports))                                         \
    X(wasmtime_module_exports, void, (void *module, struct wt_list *exports))                                         \
    X(wasmtime_memorytype_minimum, uint64_t, (const void *type))                                                      \
    X(wasmtime_memorytype_is64, bool, (const void *type))                                                             \
    X(wasmtime_memorytype_isshared, bool, (const void *type))                                                         \
    X(wasmtime_store_new, void *, (void *engine, void *data, void (*release)(void *)))                                \
    X(wasmtime_store_context, void *, (void *store))                                                                  \
    X(wasmtime_store_limiter, void,                                                                                   \
      (void *store, int64_t memory, int64_t elements, int64_t instances, int64_t tables, int64_t memories))           \
    X(wasmtime_context_set_wasi, void *, (void *context, void *config))                                               \
    X(wasmtime_context_set_epoch_deadline, void, (void *context, uint64_t ticks))                                     \
    X(wasi_config_new, void *, (void))                                                                                \
    X(wasi_config_set_argv, bool, (void *config, size_t count, const char *const *args))                              \
    X(wasi_config_set_env, bool,                                                                                      \
      (void *config, size_t count, const char *const *names, const char *const *values))                              \
    X(wasi_config_inherit_stdin, void, (void *config))                                                                \
    X(wasi_config_inherit_stdout, void, (void *config))                                                               \
    X(wasi_config_set_stderr_custom, void,                                                                            \
      (void *config, ssize_t (*write)(void *, const unsigned char *, size_t), void *data, void (*release)(void *)))   \
    X(wasi_config_preopen_dir, bool, (void *config, const char *host, const char *guest, bool writable))              \
    X(wasmtime_linker_new, void *, (void *engine))                                                                    \
    X(wasmtime_linker_allow_shadowing, void, (void *linker, bool on))                                                 \
    X(wasmtime_linker_define_wasi, void *, (void *linker))                                                            \
    X(wasmtime_linker_define, void *,                                                                                 \
      (void *linker, void *context, const char *module, size_t module_size, const char *name, size_t name_size,       \
       const struct wt_extern *item))                                                                                 \
    X(wasmtime_linker_define_func_unchecked, void *,                                                                  \
      (void *linker, const char *module, size_t module_size, const char *name, size_t name_size, const void *type,    \
       wt_callback callback, void *data, void (*release)(void *)))                                                    \
    X(wasmtime_linker_get, bool,                                                                                      \
      (void *linker, void *context, const char *module, size_t module_size, const char *name, size_t name_size,       \
       struct wt_extern *item))                                                                                       \
    X(wasmtime_linker_instantiate, void *,                                                                            \
      (void *linker, void *context, void *module, struct wt_instance *instance, void **trap))                         \
    X(wasmtime_instance_export_get, bool,                                                                             \
      (void *context, const struct wt_instance *instance, const char *name, size_t name_size, struct wt_extern *item)) \
    X(wasmtime_func_call, void *,                                                                                     \
      (void *context, const struct wt_func *func, const void *args, size_t count, void *results, size_t result_count, \
       void **trap))                                                                                                  \
    X(wasmtime_caller_context, void *, (void *caller))                                                                \
    X(wasmtime_caller_export_get, bool, (void *caller, const char *name, size_t name_size, struct wt_extern *item))   \
    X(wasmtime_memory_data, uint8_t *, (const void *context, const struct wt_memory *memory))                         \
    X(wasmtime_memory_data_size, size_t, (const void *context, const struct wt_memory *memory))

#define WASMTIME_DECLARE(name, result, params) result(*name) params;
struct wasmtime {
    WASMTIME_FUNCTIONS(WASMTIME_DECLARE)
};

extern struct wasmtime wt;

/* NULL, or why the library cannot be used. */
const char *wasmtime_load(const char *path, const char *version);

#endif
