#include "link.h"

#include <string.h>

#include "wasmtime.h"

static const char WASI[] = "wasi_snapshot_preview1";

static const char *const PREVIEW1[] = {
    "args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_advise",
    "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_fdstat_set_rights",
    "fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pread", "fd_prestat_dir_name",
    "fd_prestat_get", "fd_pwrite", "fd_read", "fd_readdir", "fd_renumber", "fd_seek", "fd_sync", "fd_tell", "fd_write",
    "path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link", "path_open", "path_readlink",
    "path_remove_directory", "path_rename", "path_symlink", "path_unlink_file", "poll_oneoff", "proc_exit",
    "proc_raise", "random_get", "sched_yield", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
};

struct import link_import(const void *import) {
    const struct wt_bytes *module = wt.wasm_importtype_module(import), *name = wt.wasm_importtype_name(import);
    return (struct import){{module->data, module->size},
                           {name ? name->data : "", name ? name->size : 0},
                           wt.wasm_externtype_as_functype_const(wt.wasm_importtype_type(import))};
}

static bool has(const struct json *names, struct slice name) {
    for (const struct json *item = names ? names->first : NULL; item; item = item->next)
        if (same(item->text, name))
            return true;
    return false;
}

static bool in_preview1(struct slice name) {
    for (size_t i = 0; i < sizeof PREVIEW1 / sizeof *PREVIEW1; i++)
        if (is(name, PREVIEW1[i]))
            return true;
    return false;
}

static void say_kinds(struct text *to, const struct wt_list *types) {
    static const char *const names[] = {"i32", "i64", "f32", "f64"};
    text_say(to, "(");
    for (size_t i = 0; i < types->size; i++) {
        uint8_t kind = wt.wasm_valtype_kind(types->data[i]);
        text_say(to, "%s", i ? ", " : "");
        if (kind < 4)
            text_say(to, "%s", names[kind]);
        else if (kind == 128 || kind == 129)
            text_say(to, "%s", kind == 128 ? "anyref" : "funcref");
        else
            text_say(to, "ValType(%u)", kind);
    }
    text_say(to, ")");
}

static bool all_i32(const struct wt_list *types, size_t count) {
    for (size_t i = 0; i < types->size; i++)
        if (wt.wasm_valtype_kind(types->data[i]))
            return false;
    return types->size == count;
}

char *link_missing(const struct profile *profile, const struct import *import) {
    struct text why = {0};
    text_say(&why, "import %.*s::%.*s", (int)import->module.size, import->module.data, (int)import->name.size, import->name.data);
    if (has(profile->modules, import->module)) {
        int function = 0;
        while (function < FUNCTION_COUNT && !(profile->programs[function].offered && is(import->name, FUNCTIONS[function].name)))
            function++;
        if (import->type && function < FUNCTION_COUNT) {
            const struct wt_list *params = wt.wasm_functype_params(import->type), *results = wt.wasm_functype_results(import->type);
            int count = FUNCTIONS[function].params;
            if (all_i32(params, (size_t)count) && all_i32(results, 1)) {
                text_free(&why);
                return NULL;
            }
            text_say(&why, " has type ");
            say_kinds(&why, params);
            text_say(&why, " -> ");
            say_kinds(&why, results);
            text_say(&why, ", %.*s has %d i32 parameters and one result", (int)profile->id.size, profile->id.data, count);
            return why.data;
        }
    } else if (has(profile->wasi_modules, import->module) && import->type && in_preview1(import->name)) {
        text_free(&why);
        return NULL;
    }
    text_say(&why, " is not provided by %.*s", (int)profile->id.size, profile->id.data);
    return why.data;
}

void link_alias(const struct profile *profile, const struct import *import, void *linker, void *context) {
    struct wt_extern item;
    if (is(import->module, WASI) || !has(profile->wasi_modules, import->module) || is(import->name, "proc_exit") ||
        !in_preview1(import->name))
        return;
    if (wt.wasmtime_linker_get(linker, context, WASI, sizeof WASI - 1, import->name.data, import->name.size, &item))
        wt.wasmtime_linker_define(linker, context, import->module.data, import->module.size, import->name.data, import->name.size, &item);
}
