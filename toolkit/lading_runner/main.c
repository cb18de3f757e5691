/* lading-runner: one guest with wasi-nn, or golden vectors, in one process; started by the agent.
 *
 *   lading-runner run ENGINES --spec FD --report FD [--phase FD] [--log FD]
 *
 * ENGINES: --wasmtime LIBRARY --wasmtime-version VERSION --litert LIBRARY --litert-version VERSION
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden.h"
#include "guest.h"
#include "limits.h"
#include "litert.h"
#include "models.h"
#include "nn.h"
#include "run.h"
#include "wasmtime.h"

struct options {
    struct engines engines;
    int spec, report, phase, log;
};

static void usage(const char *why) {
    fprintf(stderr,
            "lading-runner: %s\n"
            "usage: lading-runner run --wasmtime LIBRARY --wasmtime-version VERSION --litert LIBRARY\n"
            "       --litert-version VERSION --spec FD --report FD [--phase FD] [--log FD]\n",
            why);
    exit(2);
}

static int descriptor(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (!*text || *end || number < 0 || number > 1 << 20)
        usage("a descriptor is a number");
    return (int)number;
}

static struct options parse(int argc, char **argv) {
    struct options options = {{NULL, NULL, NULL, NULL}, -1, -1, -1, -1};
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--wasmtime"))
            options.engines.wasmtime = value;
        else if (!strcmp(name, "--wasmtime-version"))
            options.engines.wasmtime_version = value;
        else if (!strcmp(name, "--litert"))
            options.engines.litert = value;
        else if (!strcmp(name, "--litert-version"))
            options.engines.litert_version = value;
        else if (!strcmp(name, "--spec"))
            options.spec = descriptor(value);
        else if (!strcmp(name, "--report"))
            options.report = descriptor(value);
        else if (!strcmp(name, "--phase"))
            options.phase = descriptor(value);
        else if (!strcmp(name, "--log"))
            options.log = descriptor(value);
        else
            usage("an option that does not exist");
    }
    if (argc % 2 || options.spec < 0 || options.report < 0)
        usage("an option without its value, or no --spec or --report");
    if (!options.engines.wasmtime || !options.engines.wasmtime_version || !options.engines.litert || !options.engines.litert_version)
        usage("an engine is missing");
    return options;
}

static int64_t least(int64_t run, int64_t firmware) { return firmware >= 0 && firmware < run ? firmware : run; }

static const char *runtime(const struct spec *spec, const struct profile *profile, const struct engines *engines) {
    struct text text = {0};
    text_say(&text, "lading native runner, ");
    if (*spec->module)
        text_say(&text, "wasmtime %s", engines->wasmtime_version);
    else
        text_say(&text, "no guest");
    if (profile->backend)
        text_say(&text, ", ai-edge-litert %s", engines->litert_version);
    return text.data;
}

static const char *load_engines(const struct spec *spec, const struct profile *profile, const struct engines *engines) {
    const char *why = *spec->module ? wasmtime_load(engines->wasmtime, engines->wasmtime_version) : NULL;
    if (!why && profile->backend)
        why = litert_load(engines->litert, engines->litert_version, spec->threads);
    return why;
}

static _Noreturn void run(const struct options *options) {
    struct spec spec;
    struct profile profile;
    die_with_parent();
    signal(SIGPIPE, SIG_IGN); /* a guest whose reader went away gets an errno */
    run_begins(options->report, options->phase, options->log);
    const char *why = spec_read(&spec, options->spec);
    if (why)
        run_ends("failed", 125, "host-failed", why, "report this");
    if (!spec.no_backend && !is(spec.backend, "litert"))
        run_ends("failed", 125, "no-backend", "the native runner has LiteRT only", "run with the Python host");
    why = profile_read(&profile, spec.personality, spec.no_backend);
    if (why)
        run_ends("not-loadable", 126, "not-loadable", why, "run it with the Python host (--host python)");
    why = load_engines(&spec, &profile, &options->engines);
    if (why)
        run_ends("failed", 125, "no-engine", why, "install wasmtime and ai-edge-litert again, or run with the Python host");
    models_begin(spec.models, spec.model_bytes, spec.memory_bytes, profile.backend);
    limit_memory(spec.memory_bytes, spec.threads);
    if (spec.golden && spec.golden->first)
        golden_compare(spec.golden, spec.model_bytes);
    if (!*spec.module)
        run_ends("exit", 0, "exit", "", "");
    nn_begin(&profile, (struct nn_limits){least(spec.graphs, profile.graphs), least(spec.contexts, profile.contexts),
                                          least(spec.model_bytes, profile.model_bytes)});
    figures_tell(runtime(&spec, &profile, &options->engines));
    *run_phase = PHASE_GUEST;
    guest_run(&spec, &profile);
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "run"))
        usage("what to do?");
    struct options options = parse(argc, argv);
    run(&options);
}
