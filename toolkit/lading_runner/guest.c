#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "link.h"
#include "module.h"
#include "nn.h"
#include "run.h"
#include "wasmtime.h"

enum { PAGE = 65536, MOST_MESSAGE = 500, TRAP_INTERRUPT = 10, CLOCK_STACK = 65536 };

/* How the engine begins an error that is the guest's own doing and yet no trap to it. */
static const char IN_THE_GUEST[] = "error while executing at wasm backtrace";

static const struct spec *spec;
static const struct profile *profile;

static struct {
    void *engine;
    void *store;
    void *context;
    void *linker;
    void *module;
    bool looked; /* for the memory, at the first call: perhaps in the start function, before there is an instance */
    bool has_memory;
    struct wt_memory memory;
} guest;

#define ENDS(outcome, status, kind, remedy, ...)                                                                       \
    do {                                                                                                               \
        struct text message = {0};                                                                                     \
        text_say(&message, __VA_ARGS__);                                                                               \
        run_ends(outcome, status, kind, message.data, remedy);                                                         \
    } while (0)

static _Noreturn void memory_limit(const char *what) {
    ENDS("failed", 125, "memory-limit", "raise the limit (--max-memory, or memory in lading.toml), or make the guest use less",
         "%s, the limit is %lld", what, (long long)spec->memory_bytes);
}

/* The last line of a message, without the number before it. */
static char *last_cause(char *message) {
    char *end = message + strlen(message);
    while (end > message && strchr(" \t\r\n", end[-1]))
        *--end = 0;
    char *line = strrchr(message, '\n');
    line = line ? line + 1 : message;
    line += strspn(line, " \t");
    size_t digits = strspn(line, "0123456789");
    if (digits && !strncmp(line + digits, ": ", 2))
        line += digits + 2;
    if (strlen(line) > MOST_MESSAGE)
        line[MOST_MESSAGE] = 0;
    return line;
}

static _Noreturn void failed(void *error) {
    struct wt_bytes message;
    struct text line = {0}, whole = {0};
    int status;
    if (wt.wasmtime_error_exit_status(error, &status))
        run_ends("exit", status & 0xFF, "exit", "", "");
    wt.wasmtime_error_message(error, &message);
    text_add(&whole, message.data, message.size);
    text_add(&line, "", 0);
    say_line(&line, &message);
    if (spec->memory_bytes >= 0 && strstr(line.data, "memory") && strstr(line.data, "limit"))
        memory_limit("the module needs more memory at its start");
    if (strstr(line.data, "out of memory"))
        ENDS("failed", 125, "out-of-memory", "raise the memory limit (--max-memory), or make the guest use less",
             "the wasm engine is out of memory: %.300s", line.data);
    if (!strncmp(whole.data, IN_THE_GUEST, sizeof IN_THE_GUEST - 1)) /* it asked WASI for more than a host gives anybody */
        run_ends("trap", profile->status_trap, "trap", last_cause(whole.data), "");
    run_ends("failed", 125, "engine-failed", line.data, "");
}

static uint64_t memory_size(void) {
    return guest.has_memory ? wt.wasmtime_memory_data_size(guest.context, &guest.memory) : 0;
}

/* The cause in a trap's message: its last line that begins with the words, or its last line. */
static void say_cause(struct text *to, char *message) {
    char *found = NULL, *last = NULL, *rest = message;
    for (char *line; (line = strtok_r(rest, "\n", &rest));) {
        line += strspn(line, " \t\r");
        if (!*line)
            continue;
        last = line;
        char *plain = line[0] && line[1] == ':' ? line + 3 : line;
        if (!strncmp(line, "wasm trap:", 10) || ((line[0] == '0' || line[0] == '1') && strlen(line) > 3 && !strncmp(plain, "wasm trap:", 10)))
            found = line;
    }
    found = found ? found : last ? last : "trap";
    char *words = strstr(found, "wasm trap: ");
    text_say(to, "%.*s", MOST_MESSAGE, words ? words + 11 : found);
}

static _Noreturn void trapped(const void *trap) {
    uint8_t code = 0;
    if (wt.wasmtime_trap_code(trap, &code) && code == TRAP_INTERRUPT)
        ENDS("failed", 125, "time-limit", "give it more time (--timeout, or timeout in lading.toml), or make it do less",
             "over the time limit of %g s while running the guest's own code", (double)spec->time_ns / 1e9);
    struct wt_bytes message;
    struct text cause = {0};
    wt.wasm_trap_message(trap, &message);
    say_cause(&cause, message.data);
    uint64_t size = memory_size(), limit = (uint64_t)spec->memory_bytes;
    bool full = size * 10 >= limit * 9 || (size * 2 >= limit && strstr(cause.data, "unreachable"));
    if (spec->memory_bytes >= 0 && full) {
        struct text what = {0};
        text_say(&what, "the guest trapped (%s) with %llu bytes of memory", cause.data, (unsigned long long)size);
        memory_limit(what.data);
    }
    run_ends("trap", profile->status_trap, "trap", cause.data, "");
}

static _Noreturn void not_loadable(const char *message, const char *remedy) {
    run_ends("not-loadable", profile->status_not_loadable, "not-loadable", message, remedy);
}

static void get_module(const struct engines *engines) {
    struct module_wanted wanted = {
        .path = spec->module,
        .digest = spec->module_digest,
        .features = profile->features,
        .wasmtime_version = engines->wasmtime_version,
        .wasmtime_digest = engines->wasmtime_digest,
        .code = engines->code,
    };
    struct module got = {0};
    struct no_module why = {0};
    bool there = module_get(&wanted, &got, &why);
    static const char *const states[] = {[CODE_OFF] = "off", [CODE_COMPILED] = "compiled", [CODE_LOADED] = "loaded"};
    figures.code = states[there ? got.state : CODE_OFF];
    guest.engine = got.engine;
    guest.module = got.module;
    if (there)
        return;
    if (why.kind == MODULE_UNREADABLE)
        not_loadable(why.message.data, why.remedy);
    if (why.kind == MODULE_INVALID)
        run_ends("not-loadable", profile->status_invalid_module, "invalid-module", why.message.data, why.remedy);
    ENDS("not-loadable", profile->status_invalid_module, "invalid-module", why.remedy, "the module is not valid on %.*s: %s",
         (int)profile->id.size, profile->id.data, why.message.data);
}

static ssize_t write_stderr(void *data, const unsigned char *bytes, size_t size) {
    (void)data;
    for (size_t done = 0; done < size;) {
        ssize_t written = write(run_guest_stderr, bytes + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        done += (size_t)written;
    }
    return (ssize_t)size;
}

static void release_nothing(void *data) { (void)data; }

static void set_wasi(void) {
    void *wasi = wt.wasi_config_new();
    const char *slash = strrchr(spec->module, '/');
    size_t count = 1;
    const char **args = need((1 + (spec->args ? spec->args->count : 0)) * sizeof *args);
    args[0] = slash ? slash + 1 : spec->module;
    for (const struct json *arg = spec->args ? spec->args->first : NULL; arg; arg = arg->next)
        args[count++] = copied(arg->text);
    bool good = wt.wasi_config_set_argv(wasi, count, args);
    size_t variables = 0, most = spec->env ? spec->env->count : 0;
    const char **names = need(most * sizeof *names), **values = need(most * sizeof *values);
    for (const struct json *item = spec->env ? spec->env->first : NULL; item; item = item->next) {
        names[variables] = copied(item->key);
        values[variables++] = copied(item->text);
    }
    good = good && wt.wasi_config_set_env(wasi, variables, names, values);
    if (!good)
        run_ends("failed", 125, "host-failed", "the arguments or the environment cannot be handed to the guest", "report this");
    wt.wasi_config_inherit_stdin(wasi);
    wt.wasi_config_inherit_stdout(wasi);
    wt.wasi_config_set_stderr_custom(wasi, write_stderr, NULL, release_nothing);
    for (const struct json *dir = spec->dirs ? spec->dirs->first : NULL; dir; dir = dir->next) {
        const char *host = copied(json_text(dir, "host", "")), *inside = copied(json_text(dir, "guest", ""));
        const struct json *writable = json_get(dir, "writable");
        if (!wt.wasi_config_preopen_dir(wasi, host, inside, writable && writable->kind == JSON_TRUE))
            ENDS("failed", 125, "no-directory", "", "the directory %s cannot be opened for the guest: failed to add preopen dir", host);
    }
    void *error = wt.wasmtime_context_set_wasi(guest.context, wasi);
    if (error)
        failed(error);
}

static void *wasi_exit(void *data, void *caller, union wt_raw *values, size_t count) {
    (void)data, (void)caller, (void)count;
    run_ends("exit", values[0].i32 & 0xFF, "exit", "", "");
}

static void *call_host(void *data, void *caller, union wt_raw *values, size_t count) {
    enum function function = (enum function)(uintptr_t)data;
    uint32_t args[5] = {0};
    for (int i = 0; i < FUNCTIONS[function].params && (size_t)i < count; i++)
        args[i] = (uint32_t)values[i].i32;
    if (!guest.looked) {
        struct wt_extern found;
        guest.looked = true;
        if (wt.wasmtime_caller_export_get(caller, "memory", 6, &found) && found.kind == WT_EXTERN_MEMORY) {
            guest.has_memory = true;
            guest.memory = found.of.memory;
        }
    }
    unsigned char *memory = NULL;
    uint64_t size = 0;
    static unsigned char empty[1];
    if (guest.has_memory) {
        void *context = wt.wasmtime_caller_context(caller);
        memory = wt.wasmtime_memory_data(context, &guest.memory);
        size = wt.wasmtime_memory_data_size(context, &guest.memory);
        memory = memory ? memory : empty;
    }
    values[0].i32 = (int32_t)nn_call(function, args, memory, size);
    return NULL;
}

static void *func_type(int params, int results) {
    void *i32[5];
    struct wt_list in, out;
    for (int i = 0; i < params; i++)
        i32[i] = wt.wasm_valtype_new(0);
    wt.wasm_valtype_vec_new(&in, (size_t)params, i32);
    for (int i = 0; i < results; i++)
        i32[i] = wt.wasm_valtype_new(0);
    wt.wasm_valtype_vec_new(&out, (size_t)results, i32);
    return wt.wasm_functype_new(&in, &out);
}

static void define(const struct json *modules, struct slice name, const void *type, wt_callback callback, void *data) {
    for (const struct json *module = modules ? modules->first : NULL; module; module = module->next) {
        void *error = wt.wasmtime_linker_define_func_unchecked(guest.linker, module->text.data, module->text.size, name.data,
                                                               name.size, type, callback, data, NULL);
        if (error)
            failed(error);
    }
}

static void define_all(void) {
    guest.linker = wt.wasmtime_linker_new(guest.engine);
    void *error = wt.wasmtime_linker_define_wasi(guest.linker);
    if (error)
        failed(error);
    wt.wasmtime_linker_allow_shadowing(guest.linker, true);
    define(profile->wasi_modules, SLICE("proc_exit"), func_type(1, 0), wasi_exit, NULL);
    for (int i = 0; i < FUNCTION_COUNT; i++)
        if (profile->programs[i].offered)
            define(profile->modules, slice_of(FUNCTIONS[i].name), func_type(FUNCTIONS[i].params, 1), call_host, (void *)(uintptr_t)i);
}

static void *unlinked(void *data, void *caller, union wt_raw *values, size_t count) {
    (void)caller, (void)values, (void)count;
    ENDS("trap", profile->status_trap, "trap", "", "the guest called what is not linked: %s", (const char *)data);
}

static void check_link(void) {
    struct wt_list imports;
    wt.wasmtime_module_imports(guest.module, &imports);
    for (size_t i = 0; i < imports.size; i++) {
        struct import import = link_import(imports.data[i]);
        char *reason = link_missing(profile, &import);
        if (!reason) {
            link_alias(profile, &import, guest.linker, guest.context);
            continue;
        }
        const char *remedy = "choose a firmware that has it, or build the guest without it";
        if (!profile->unknown_import_traps)
            run_ends("link-error", profile->status_link_error, "link-error", reason, remedy);
        if (!import.type)
            not_loadable(reason, remedy);
        void *error = wt.wasmtime_linker_define_func_unchecked(guest.linker, import.module.data, import.module.size, import.name.data,
                                                               import.name.size, import.type, unlinked, reason, NULL);
        if (error)
            failed(error);
    }
}

static void check_shape(void) {
    struct wt_list exports;
    const void *start = NULL, *memory = NULL;
    wt.wasmtime_module_exports(guest.module, &exports);
    for (size_t i = 0; i < exports.size; i++) {
        const struct wt_bytes *name = wt.wasm_exporttype_name(exports.data[i]);
        const void *type = wt.wasm_exporttype_type(exports.data[i]);
        if (is((struct slice){name->data, name->size}, "_start"))
            start = wt.wasm_externtype_as_functype_const(type);
        else if (is((struct slice){name->data, name->size}, "memory"))
            memory = wt.wasm_externtype_as_memorytype_const(type);
    }
    if (!start)
        not_loadable("the module exports no function _start: it is a library (a reactor), not a program",
                     "build the guest as a command (with main)");
    if (wt.wasm_functype_params(start)->size)
        not_loadable("the module's function _start takes parameters: it is not a program's",
                     "build the guest as a command (with main)");
    if (!memory)
        return;
    bool wide = wt.wasmtime_memorytype_is64(memory);
    if (wide || wt.wasmtime_memorytype_isshared(memory))
        ENDS("not-loadable", profile->status_not_loadable, "not-loadable", "build the guest for wasm32 without threads",
             "the module's memory is %s: wasi-nn passes 32-bit pointers into one unshared memory", wide ? "64-bit" : "shared");
    uint64_t begins = wt.wasmtime_memorytype_minimum(memory) * PAGE;
    if (spec->memory_bytes >= 0 && begins > (uint64_t)spec->memory_bytes) {
        struct text what = {0};
        text_say(&what, "the module begins with %llu bytes of memory", (unsigned long long)begins);
        memory_limit(what.data);
    }
}

/* Ends the guest's own code when its time is over; who waits in a host call is ended by the supervisor. */
static void *keep_time(void *data) {
    (void)data;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t ns = end.tv_nsec + spec->time_ns % 1000000000;
    end.tv_sec += spec->time_ns / 1000000000 + ns / 1000000000;
    end.tv_nsec = ns % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        continue;
    wt.wasmtime_engine_increment_epoch(guest.engine);
    return NULL;
}

static void start_clock(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    wt.wasmtime_context_set_epoch_deadline(guest.context, 1);
    if (spec->time_ns < 0)
        return;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, CLOCK_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &attributes, keep_time, NULL); /* without it the supervisor ends the run as well */
    pthread_attr_destroy(&attributes);
}

void guest_run(const struct spec *wanted, const struct profile *hosted, const struct engines *engines) {
    spec = wanted;
    profile = hosted;
    get_module(engines);
    guest.store = wt.wasmtime_store_new(guest.engine, NULL, NULL);
    if (spec->memory_bytes >= 0)
        wt.wasmtime_store_limiter(guest.store, spec->memory_bytes, -1, -1, -1, -1);
    guest.context = wt.wasmtime_store_context(guest.store);
    set_wasi();
    define_all();
    check_link();
    check_shape();
    start_clock();
    struct wt_instance instance;
    struct wt_extern start, memory;
    void *trap = NULL, *error = wt.wasmtime_linker_instantiate(guest.linker, guest.context, guest.module, &instance, &trap);
    if (error)
        failed(error);
    if (trap)
        trapped(trap);
    if (wt.wasmtime_instance_export_get(guest.context, &instance, "memory", 6, &memory) && memory.kind == WT_EXTERN_MEMORY) {
        guest.looked = guest.has_memory = true;
        guest.memory = memory.of.memory;
    }
    if (!wt.wasmtime_instance_export_get(guest.context, &instance, "_start", 6, &start))
        not_loadable("the module exports no function _start: it is a library (a reactor), not a program",
                     "build the guest as a command (with main)");
    error = wt.wasmtime_func_call(guest.context, &start.of.func, NULL, 0, NULL, 0, &trap);
    if (error)
        failed(error);
    if (trap)
        trapped(trap);
    run_ends("exit", 0, "exit", "", "");
}
