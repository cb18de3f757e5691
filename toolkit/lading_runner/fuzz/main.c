/* The fuzzer's own process: keeps inputs that reached something new, and what went wrong.
 *
 *   fuzz-runner FOLDER --wasmtime … --litert … --seed N [--seconds S | --runs N] [--only TARGET]
 *   fuzz-runner FOLDER --wasmtime … --litert … --replay TARGET FILE
 *
 * FOLDER has what inputs are made of (models, modules, profiles, named.json) and takes the findings and figures.json.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../litert.h"
#include "../models.h"
#include "../run.h"
#include "fuzz.h"

enum { TARGETS = 4, MAP = 1 << 16, MOST_CODE = 1 << 23, MOST_KEPT = 4096, ARENA = 1 << 26, MOST_MS = 30000, SLICE_MS = 5000,
       MOST_RSS_PAGES = 160000, MOST_SAVED = 40, CRASHED = 99 };

static const struct target *const targets[TARGETS] = {&TARGET_CALLS, &TARGET_MODELS, &TARGET_DOCUMENTS, &TARGET_RUNS};

struct kept {
    size_t at, size;
};

/* What the process and its children share; it outlives what a child does to its own variables. */
struct shared {
    uint64_t random;
    uint64_t tried[TARGETS];
    uint64_t beats;
    int report_pid;
    bool damaged; /* the input gave the interpreter a model that is none of ours */
    bool armed;
    jmp_buf end;
    unsigned char input[MOST_INPUT];
    size_t input_size;
    struct kept kept[TARGETS][MOST_KEPT];
    size_t kept_count[TARGETS], arena_used;
    unsigned char hits[MAP];
    unsigned char reached[TARGETS][MAP];
    unsigned char code[MOST_CODE];
    uintptr_t base, last;
    bool tracing;
    unsigned char arena[ARENA];
};

struct setup setup;
static struct shared *shared;
static unsigned char *saved_variables;
static uint64_t findings, engine_crashes, engine_hangs, restarts;
static int64_t spent_ms[TARGETS];

extern char __data_start[], _end[];

/* Called by the compiler at every branch of the runner's code. */
void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void) {
    if (!shared || !shared->tracing)
        return;
    uintptr_t at = (uintptr_t)__builtin_return_address(0) - shared->base;
    uintptr_t slot = (at ^ shared->last >> 1) * 0x9E3779B1u >> 8 & (MAP - 1);
    shared->last = at;
    if (shared->hits[slot] != 255)
        shared->hits[slot]++;
    if (at < MOST_CODE)
        shared->code[at] = 1;
}

void broken(const char *format, ...) {
    va_list args;
    struct text said = {0};
    char line[400];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_say(&said, "fuzz: %s\n", line);
    int fd = open("broken.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, said.data, said.size) < 0)
        _exit(97);
    _exit(98);
}

void told_of(int pid) { shared->report_pid = pid; }

jmp_buf *run_end_armed(void) {
    shared->armed = true;
    return &shared->end;
}

void run_end_disarm(void) { shared->armed = false; }

_Noreturn void __real_run_ends(const char *outcome, int status, const char *kind, const char *message, const char *remedy);
_Noreturn void __wrap_run_ends(const char *outcome, int status, const char *kind, const char *message, const char *remedy);

void __wrap_run_ends(const char *outcome, int status, const char *kind, const char *message, const char *remedy) {
    if (!shared->armed)
        __real_run_ends(outcome, status, kind, message, remedy);
    /* A model that is damaged may well make the interpreter write too far; a sound one must not. */
    if (!strcmp(kind, "interpreter-crashed") && !shared->damaged)
        broken("the interpreter wrote where it must not: %s", message);
    shared->armed = false;
    longjmp(shared->end, 1);
}

struct held *__real_models_given(const unsigned char *data, size_t size);
struct held *__wrap_models_given(const unsigned char *data, size_t size);

struct held *__wrap_models_given(const unsigned char *data, size_t size) {
    bool sound = false;
    for (size_t i = 0; i < setup.models.count && !sound; i++)
        sound = setup.models.files[i].size == size && !memcmp(setup.models.files[i].data, data, size);
    shared->damaged = shared->damaged || !sound;
    return __real_models_given(data, size);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct file_bytes file_read(const char *path) {
    struct file_bytes file = {0};
    FILE *from = fopen(path, "rb");
    if (!from)
        return file;
    fseek(from, 0, SEEK_END);
    file.size = (size_t)ftell(from);
    rewind(from);
    file.data = malloc(file.size + 1);
    file.size = fread(file.data, 1, file.size, from);
    fclose(from);
    return file;
}

void folder_read(struct folder *into, const char *path, const char *suffix) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count && into->count < MOST_FILES; i++) {
        const char *dot = strrchr(entries[i]->d_name, '.');
        if (!dot || strcmp(dot, suffix))
            continue;
        struct text name = {0};
        text_say(&name, "%s/%s", path, entries[i]->d_name);
        struct file_bytes file = file_read(name.data);
        file.name = copied((struct slice){entries[i]->d_name, (size_t)(dot - entries[i]->d_name)});
        into->files[into->count++] = file;
    }
    if (!into->count) {
        fprintf(stderr, "fuzz-runner: there is nothing in %s\n", path);
        exit(2);
    }
}

static int find_base(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    *(uintptr_t *)data = info->dlpi_addr; /* the program itself comes first */
    return 1;
}

__attribute__((no_sanitize("address"))) static void copy_variables(unsigned char *to, const unsigned char *from) {
    size_t size = (size_t)(_end - __data_start);
    for (size_t i = 0; i < size; i++)
        to[i] = from[i];
}

/* Whether the last input reached something that none before it did. */
static bool reached_new(int target) {
    bool any = false;
    for (size_t i = 0; i < MAP; i += 8) {
        uint64_t eight;
        memcpy(&eight, shared->hits + i, 8);
        if (!eight)
            continue;
        for (size_t j = i; j < i + 8; j++) {
            unsigned char hits = shared->hits[j];
            unsigned char class = hits == 0 ? 0 : hits < 4 ? 1 << (hits - 1) : hits < 8 ? 8 : hits < 16 ? 16 : hits < 32 ? 32 : hits < 128 ? 64 : 128;
            if (class & ~shared->reached[target][j]) {
                shared->reached[target][j] |= class;
                any = true;
            }
        }
    }
    return any;
}

static void keep(int target) {
    if (shared->kept_count[target] == MOST_KEPT || shared->arena_used + shared->input_size > ARENA)
        return;
    memcpy(shared->arena + shared->arena_used, shared->input, shared->input_size);
    shared->kept[target][shared->kept_count[target]++] = (struct kept){shared->arena_used, shared->input_size};
    shared->arena_used += shared->input_size;
}

static void try_one(int target) {
    shared->damaged = false;
    memset(shared->hits, 0, MAP);
    shared->last = 0;
    shared->tracing = true;
    targets[target]->try_input(shared->input, shared->input_size);
    shared->tracing = false;
    if (ftruncate(2, 0) || lseek(2, 0, SEEK_SET)) /* the interpreter's log of this input */
        broken("no log");
    copy_variables((unsigned char *)__data_start, saved_variables);
}

static void next_input(int target) {
    uint64_t seed = shared->tried[target];
    size_t size = targets[target]->seed(seed, shared->input);
    if (size) {
        shared->input_size = size;
        return;
    }
    size_t count = shared->kept_count[target];
    /* Half of the time one of those that were found last. */
    size_t back = random_below(&shared->random, 2) && count > 16 ? random_below(&shared->random, 16) + 1 : 0;
    const struct kept *from = &shared->kept[target][back ? count - back : random_below(&shared->random, (uint32_t)count)];
    const struct kept *other = &shared->kept[target][random_below(&shared->random, (uint32_t)count)];
    memcpy(shared->input, shared->arena + from->at, from->size);
    shared->input_size = mutate(&shared->random, shared->input, from->size, shared->arena + other->at, other->size, targets[target]->text);
}

static long resident_pages(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident;
}

/* A child: one input after the other until its time is over or it has grown. */
static _Noreturn void child(int target, int64_t until_ms, uint64_t until_runs) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    shared->armed = false; /* the child before may have died on its way */
    do {
        next_input(target);
        shared->tried[target]++;
        shared->beats++;
        try_one(target);
        if (reached_new(target) || !shared->kept_count[target])
            keep(target);
        if (shared->tried[target] % 32 == 0 && resident_pages() > MOST_RSS_PAGES)
            break;
    } while (now_ms() < until_ms && shared->tried[target] < until_runs);
    _exit(0);
}

static bool has(const char *line, const char *const *words) {
    for (; *words; words++)
        if (strstr(line, *words))
            return true;
    return false;
}

/* Whose fault a report is: the first place in its first stack that is neither the sanitizer's nor the C library's. */
static bool in_an_engine(const char *path) {
    static const char *const between[] = {"libasan", "libubsan", "/libsanitizer/", "/libc.so", "/libm.so", "/libgcc_s", "/libstdc++", "linux-vdso", "/ld-linux",
                                          " nptl/", " stdlib/", " ../sysdeps/", " ../nptl/", " ../csu/", " ./", NULL};
    static const char *const engines[] = {"libLiteRt", "_libwasmtime", NULL};
    char line[1000];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "    #", 5) && !has(line, between)) {
            found = has(line, engines);
            break;
        }
    if (file)
        fclose(file);
    return found;
}

/* The address sanitizer writes a file, the other one to standard error, which is the interpreter's log. */
static void add_log(const char *path) {
    static char piece[65536];
    off_t size = lseek(2, 0, SEEK_END), from = size > (off_t)sizeof piece ? size - (off_t)sizeof piece : 0;
    ssize_t got = pread(2, piece, sizeof piece, from);
    FILE *file = fopen(path, "ae");
    if (file && got > 0)
        fwrite(piece, 1, (size_t)got, file);
    if (file)
        fclose(file);
    if (ftruncate(2, 0) || lseek(2, 0, SEEK_SET))
        exit(2);
}

static void save(int target, pid_t pid, int status, bool hangs) {
    struct text report = {0}, name = {0}, command = {0};
    int of = shared->report_pid ? shared->report_pid : (int)pid;
    text_say(&report, "report.%d", of);
    add_log(report.data);
    bool engine = in_an_engine(report.data);
    uint64_t number = engine ? (hangs ? engine_hangs++ : engine_crashes++) : findings++;
    text_say(&name, "%s-%s-%llu", engine ? (hangs ? "engine-hang" : "engine") : "finding", targets[target]->name, (unsigned long long)number);
    if (number < MOST_SAVED) {
        FILE *input = fopen(name.data, "wbe");
        if (input) {
            fwrite(shared->input, 1, shared->input_size, input);
            fclose(input);
        }
        text_say(&command, "%s.txt", name.data);
        rename(report.data, command.data);
        if (!engine) {
            FILE *said = fopen(command.data, "ae");
            if (said) {
                struct file_bytes words = file_read("broken.txt");
                fprintf(said, "fuzz: target %s, ended by signal %d, status %d%s\n%.*s", targets[target]->name, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                        WIFEXITED(status) ? WEXITSTATUS(status) : 0, hangs ? ", it hung" : "", (int)words.size, words.data ? (char *)words.data : "");
                fclose(said);
                free(words.data);
            }
            fprintf(stdout, "fuzz-runner: %s\n", name.data);
            fflush(stdout);
        }
    } else {
        unlink(report.data);
    }
    if (of != (int)pid) { /* a child whose own child left a report has none, or one that says so */
        report.size = 0;
        text_say(&report, "report.%d", (int)pid);
        unlink(report.data);
    }
    unlink("broken.txt");
    text_free(&report);
    text_free(&name);
    text_free(&command);
    shared->report_pid = 0;
}

static void watch(int target, pid_t pid) {
    uint64_t beats = shared->beats;
    int64_t since = now_ms();
    int status;
    bool hangs = false;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (shared->beats != beats) {
            beats = shared->beats;
            since = now_ms();
        } else if (now_ms() - since > MOST_MS * (hangs ? 4 : 3)) {
            kill(pid, hangs ? SIGKILL : SIGABRT);
            hangs = true;
        }
        usleep(2000);
    }
    restarts++;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        save(target, pid, status, hangs);
}

static void write_figures(int64_t began_ms) {
    FILE *file = fopen("figures.part", "we");
    uint64_t all = 0, places = 0;
    if (!file)
        return;
    for (size_t i = 0; i < MOST_CODE; i++)
        places += shared->code[i];
    fprintf(file, "{\"targets\": {");
    for (int i = 0; i < TARGETS; i++) {
        all += shared->tried[i];
        fprintf(file, "%s\"%s\": {\"executions\": %llu, \"seconds\": %.1f, \"kept\": %zu}", i ? ", " : "", targets[i]->name,
                (unsigned long long)shared->tried[i], (double)spent_ms[i] / 1e3, shared->kept_count[i]);
    }
    fprintf(file, "}, \"executions\": %llu, \"seconds\": %.1f, \"places\": %llu, \"findings\": %llu, \"engine_crashes\": %llu, \"engine_hangs\": %llu, \"processes\": %llu}\n",
            (unsigned long long)all, (double)(now_ms() - began_ms) / 1e3, (unsigned long long)places, (unsigned long long)findings,
            (unsigned long long)engine_crashes, (unsigned long long)engine_hangs, (unsigned long long)restarts);
    fclose(file);
    rename("figures.part", "figures.json");
}

/* The target that is furthest behind its share. */
static int next_target(int only) {
    int found = 0;
    for (int i = 1; i < TARGETS && only < 0; i++)
        if (spent_ms[i] * targets[found]->share < spent_ms[found] * targets[i]->share)
            found = i;
    return only < 0 ? found : only;
}

static int target_named(const char *name) {
    for (int i = 0; i < TARGETS; i++)
        if (!strcmp(targets[i]->name, name))
            return i;
    fprintf(stderr, "fuzz-runner: there is no target %s\n", name);
    exit(2);
}

static void begin(void) {
    folder_read(&setup.models, "models", ".tflite");
    folder_read(&setup.modules, "modules", ".wasm");
    folder_read(&setup.profiles, "profiles", ".json");
    setup.named = file_read("named.json");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        exit(2);
    dl_iterate_phdr(find_base, &shared->base);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC), errors = dup(2);
    run_begins(nowhere, -1, -1);
    struct text error = {0};
    const char *why = litert_expect(setup.litert, setup.litert_version, 1);
    if (!why && !litert_model(setup.models.files[0].data, setup.models.files[0].size, &error)) /* so that it is loaded once */
        why = error.data;
    for (int i = 0; i < TARGETS && !why; i++)
        if (targets[i]->prepare)
            targets[i]->prepare();
    if (why) {
        dprintf(errors, "fuzz-runner: %s\n", why);
        exit(2);
    }
    close(errors);
    saved_variables = mmap(NULL, (size_t)(_end - __data_start), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    copy_variables(saved_variables, (const unsigned char *)__data_start);
}

int main(int argc, char **argv) {
    int64_t began = now_ms(), seconds = 0;
    uint64_t runs = 0, seed = 1;
    int only = -1;
    const char *replay = NULL;
    if (argc < 2 || chdir(argv[1]))
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* whoever ends the script ends all of it */
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--wasmtime"))
            setup.wasmtime = value;
        else if (!strcmp(name, "--wasmtime-version"))
            setup.wasmtime_version = value;
        else if (!strcmp(name, "--litert"))
            setup.litert = value;
        else if (!strcmp(name, "--litert-version"))
            setup.litert_version = value;
        else if (!strcmp(name, "--wasmtime-digest"))
            setup.wasmtime_digest = value;
        else if (!strcmp(name, "--seed"))
            seed = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--seconds"))
            seconds = strtoll(value, NULL, 10);
        else if (!strcmp(name, "--runs"))
            runs = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--only") || !strcmp(name, "--replay"))
            only = target_named(value);
        if (!strcmp(name, "--replay") && i + 2 < argc)
            replay = argv[i++ + 2];
    }
    if (!setup.litert || !setup.litert_version || !setup.wasmtime || !setup.wasmtime_version || !setup.wasmtime_digest)
        return 2;
    begin();
    shared->random = seed;
    if (replay) {
        struct file_bytes file = file_read(replay);
        shared->input_size = file.size < MOST_INPUT ? file.size : MOST_INPUT;
        memcpy(shared->input, file.data, shared->input_size);
        pid_t pid = fork();
        if (!pid) {
            try_one(only);
            _exit(0);
        }
        watch(only, pid);
        puts(findings || engine_crashes || engine_hangs ? "fuzz-runner: it happened again" : "fuzz-runner: nothing happened");
        return findings ? 1 : 0;
    }
    for (;;) {
        int target = next_target(only);
        if (runs) /* so many of each */
            for (target = 0; target < TARGETS && (shared->tried[target] >= runs || (only >= 0 && only != target)); target++)
                continue;
        if (target == TARGETS || (!runs && now_ms() - began >= seconds * 1000))
            break;
        int64_t start = now_ms(), until = runs ? INT64_MAX : start + SLICE_MS;
        pid_t pid = fork();
        if (pid < 0)
            return 2;
        if (!pid)
            child(target, until, runs ? runs : UINT64_MAX);
        watch(target, pid);
        spent_ms[target] += now_ms() - start + 1;
        write_figures(began);
    }
    write_figures(began);
    return findings ? 1 : 0;
}
