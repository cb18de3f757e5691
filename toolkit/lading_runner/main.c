/* lading-runner: one guest with wasi-nn, or golden vectors, in one process; started by the agent.
 *
 *   lading-runner run ENGINES [--code FOLDER --wasmtime-digest D] --spec FD --report FD [--phase FD] [--log FD]
 *   lading-runner compile --wasmtime LIBRARY --wasmtime-version VERSION --wasmtime-digest D --code FOLDER --module FILE
 *                         [--module-digest D] [--features JSON]
 *
 * ENGINES: --wasmtime LIBRARY --wasmtime-version VERSION --litert LIBRARY --litert-version VERSION
 *
 * `compile` puts a module's code where a run finds it, under a profile with those WebAssembly features, and tells about
 * it in one line of JSON; a digest is sha256: and 64 digits.
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
#include "module.h"
#include "nn.h"
#include "run.h"
#include "wasmtime.h"

struct options {
    struct engines engines;
    const char *module, *module_digest, *features;
    int spec, report, phase, log;
};

static _Noreturn void usage(const char *why) {
    fprintf(stderr,
            "lading-runner: %s\n"
            "usage: lading-runner run --wasmtime LIBRARY --wasmtime-version VERSION --litert LIBRARY\n"
            "       --litert-version VERSION [--code FOLDER --wasmtime-digest sha256:HEX]\n"
            "       --spec FD --report FD [--phase FD] [--log FD]\n"
            "       lading-runner compile --wasmtime LIBRARY --wasmtime-version VERSION\n"
            "       --wasmtime-digest sha256:HEX --code FOLDER --module FILE [--module-digest sha256:HEX]\n"
            "       [--features JSON]\n",
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

static const char *digest(const char *text) {
    if (!is_digest(slice_of(text)))
        usage("a digest is sha256: and 64 digits");
    return text;
}

static struct options parse(int argc, char **argv) {
    struct options options = {.spec = -1, .report = -1, .phase = -1, .log = -1};
    const struct {
        const char *name;
        const char **into;
    } texts[] = {
        {"--wasmtime", &options.engines.wasmtime},
        {"--wasmtime-version", &options.engines.wasmtime_version},
        {"--litert", &options.engines.litert},
        {"--litert-version", &options.engines.litert_version},
        {"--code", &options.engines.code},
        {"--module", &options.module},
        {"--features", &options.features},
    };
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        size_t text = 0;
        while (text < sizeof texts / sizeof *texts && strcmp(name, texts[text].name))
            text++;
        if (text < sizeof texts / sizeof *texts)
            *texts[text].into = value;
        else if (!strcmp(name, "--wasmtime-digest"))
            options.engines.wasmtime_digest = digest(value);
        else if (!strcmp(name, "--module-digest"))
            options.module_digest = digest(value);
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
    if (argc % 2)
        usage("an option without its value");
    if (!options.engines.wasmtime || !options.engines.wasmtime_version)
        usage("an engine is missing");
    if (options.engines.code && !options.engines.wasmtime_digest)
        usage("code is kept by the digest of wasmtime's library: --wasmtime-digest is missing");
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
        why = litert_expect(engines->litert, engines->litert_version, (int)spec->threads);
    return why;
}

static _Noreturn void too_many(int64_t threads) {
    struct text why = {0};
    text_say(&why, "the run asks for %lld interpreter threads: 1 to %d can be had, 0 is all cores", (long long)threads, MOST_THREADS);
    run_ends("failed", 125, "too-many-threads", why.data, "ask for fewer (--threads, or threads in lading.toml)");
}

static _Noreturn void run(const struct options *options) {
    struct spec spec;
    struct profile profile;
    if (options->spec < 0 || options->report < 0)
        usage("--spec or --report is missing");
    if (!options->engines.litert || !options->engines.litert_version)
        usage("an engine is missing");
    die_with_parent();
    signal(SIGPIPE, SIG_IGN); /* a guest whose reader went away gets an errno */
    run_begins(options->report, options->phase, options->log);
    const char *why = spec_read(&spec, options->spec);
    if (why)
        run_ends("failed", 125, "host-failed", why, "report this");
    if (spec.threads < 1 || spec.threads > MOST_THREADS)
        too_many(spec.threads);
    if (!spec.no_backend && !is(spec.backend, "litert"))
        run_ends("failed", 125, "no-backend", "the native runner has LiteRT only", "run with the Python host");
    why = profile_read(&profile, spec.personality, spec.no_backend);
    if (why)
        run_ends("not-loadable", 126, "not-loadable", why, "run it with the Python host (--host python)");
    why = load_engines(&spec, &profile, &options->engines);
    if (why)
        run_ends("failed", 125, "no-engine", why, ENGINES_REMEDY);
    models_begin(spec.models, spec.model_bytes, spec.memory_bytes, profile.backend);
    limit_memory(spec.memory_bytes, (int)spec.threads);
    if (spec.golden && spec.golden->first)
        golden_compare(spec.golden, spec.model_bytes);
    if (!*spec.module)
        run_ends("exit", 0, "exit", "", "");
    nn_begin(&profile, (struct nn_limits){least(spec.graphs, profile.graphs), least(spec.contexts, profile.contexts),
                                          least(spec.model_bytes, profile.model_bytes)});
    figures_tell(runtime(&spec, &profile, &options->engines));
    *run_phase = PHASE_GUEST;
    guest_run(&spec, &profile, &options->engines);
}

static int compile(const struct options *options) {
    const struct engines *engines = &options->engines;
    struct module_wanted wanted = {
        .path = options->module,
        .digest = slice_of(options->module_digest ? options->module_digest : ""),
        .features = options->features ? json_read(slice_of(options->features)) : NULL,
        .wasmtime_version = engines->wasmtime_version,
        .wasmtime_digest = engines->wasmtime_digest,
        .code = engines->code,
    };
    struct module got = {0};
    struct no_module why = {0};
    struct text line = {0};
    if (!options->module || !engines->code)
        usage("--module or --code is missing");
    if (options->features && (!wanted.features || wanted.features->kind != JSON_OBJECT))
        usage("features are an object in JSON");
    int64_t began = now_ns();
    const char *unusable = wasmtime_load(engines->wasmtime, engines->wasmtime_version);
    if (unusable)
        text_say(&why.message, "%s", unusable);
    if (unusable || !module_get(&wanted, &got, &why)) {
        fprintf(stderr, "lading-runner: %s\n", why.message.data);
        return 1;
    }
    if (!got.kept) /* it was said why */
        return 1;
    text_say(&line, "{\"key\":\"%s\",\"state\":\"%s\",\"bytes\":%zu,\"ms\":%.3f}\n", got.key,
             got.state == CODE_LOADED ? "present" : "compiled", got.code_bytes, (double)(now_ns() - began) / 1e6);
    return fwrite(line.data, 1, line.size, stdout) == line.size && !fflush(stdout) ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *verb = argc < 2 ? "" : argv[1];
    if (strcmp(verb, "run") && strcmp(verb, "compile"))
        usage("what to do?");
    struct options options = parse(argc, argv);
    if (!strcmp(verb, "compile"))
        _exit(compile(&options));
    run(&options);
}
