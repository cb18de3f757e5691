#include "wasmtime.h"

#include <dlfcn.h>
#include <string.h>

#include "text.h"

struct wasmtime wt;

const char *wasmtime_load(const char *path, const char *version) {
    struct text why = {0};
    if (!begins_with_one_of(version, WASMTIME_RELEASES)) {
        text_say(&why, "wasmtime is %s, this runner is made for releases %s", version, WASMTIME_RELEASES);
        return why.data;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        text_say(&why, "the library of wasmtime cannot be loaded: %s", dlerror());
        return why.data;
    }
#define FIND(name, result, params)                                                                                     \
    *(void **)&wt.name = dlsym(library, #name);                                                                        \
    if (!wt.name) {                                                                                                    \
        text_say(&why, "the library of wasmtime has no function " #name);                                              \
        return why.data;                                                                                               \
    }
    WASMTIME_FUNCTIONS(FIND)
    return NULL;
}
