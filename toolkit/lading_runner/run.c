#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "limits.h"

enum { MOST_LOG_LINES = 1000, MOST_LOG_CHARACTERS = 2000, MOST_DRAINED = 65536, MOST_SAMPLES = 65536 };

static unsigned char no_phase;
volatile unsigned char *run_phase = &no_phase;
int run_guest_stderr = 2;
struct figures figures;

static int report_fd = -1;
static int log_fd = -1;
static int64_t log_offset;
static int log_lines;
static const char *told_runtime;

void run_begins(int report, int phase, int log) {
    report_fd = report;
    if (phase >= 0) {
        struct stat about;
        if (!fstat(phase, &about) && about.st_size < 1 && ftruncate(phase, 1))
            phase = -1;
        void *cell = phase < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, phase, 0);
        if (cell != MAP_FAILED)
            run_phase = cell;
    }
    run_guest_stderr = dup(2);
    if (log < 0)
        log = memfd_create("lading-log", 0);
    if (log >= 0) {
        dup2(log, 2);
        log_fd = log;
        log_offset = lseek(log, 0, SEEK_END);
    }
}

struct text event(const char *name) {
    struct text event = {0};
    text_say(&event, "{\"event\":\"%s\"", name);
    return event;
}

void event_text(struct text *event, const char *key, struct slice utf8) {
    text_say(event, ",\"%s\":", key);
    text_json(event, utf8);
}

void event_send(struct text *event) {
    text_add(event, "}\n", 2);
    const char *at = event->data;
    size_t left = event->size;
    while (left) {
        ssize_t written = write(report_fd, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) /* a reader that went away is no reason to fail: the run ends by itself or is killed */
            break;
        at += written;
        left -= (size_t)written;
    }
    text_free(event);
}

void run_log(const char *level, struct slice bytes) {
    log_lines++;
    if (log_lines > MOST_LOG_LINES)
        return;
    if (report_fd < 0) { /* nobody takes a report: somebody reads standard error */
        fprintf(stderr, "lading-runner: %s: %.*s\n", level, (int)bytes.size, bytes.data);
        return;
    }
    struct text line = event("log"), valid = {0};
    if (log_lines < MOST_LOG_LINES) {
        text_utf8(&valid, bytes);
        struct slice shown = {valid.data, valid.size};
        shown.size = first_characters(shown, MOST_LOG_CHARACTERS);
        event_text(&line, "level", slice_of(level));
        event_text(&line, "text", shown);
    } else {
        event_text(&line, "level", SLICE("warning"));
        event_text(&line, "text", SLICE("more log lines follow; they are left out"));
    }
    event_send(&line);
    text_free(&valid);
}

int64_t run_log_size(void) {
    struct stat about;
    return log_fd >= 0 && !fstat(log_fd, &about) ? about.st_size : 0;
}

int64_t run_drained(void) { return log_offset; }

/* What stands in the log from an offset on, at most so much of it; the caller frees it. */
static char *logged(int64_t since, size_t *size) {
    int64_t end = run_log_size();
    *size = 0;
    if (end <= since)
        return NULL;
    size_t wanted = end - since > MOST_DRAINED ? MOST_DRAINED : (size_t)(end - since);
    char *text = need(wanted + 1);
    ssize_t got = pread(log_fd, text, wanted, since);
    *size = got > 0 ? (size_t)got : 0;
    text[*size] = 0;
    return text;
}

static bool starts(struct slice *line, const char *word) {
    size_t size = strlen(word);
    if (line->size < size || memcmp(line->data, word, size))
        return false;
    line->data += size;
    line->size -= size;
    return true;
}

static void log_line(struct slice line) {
    size_t blank = 0;
    while (blank < line.size && strchr(" \t\r\f\v", line.data[blank]))
        blank++;
    if (blank == line.size)
        return;
    if (starts(&line, "ERROR: "))
        run_log("error", line);
    else if (starts(&line, "WARNING: "))
        run_log("warning", line);
    else {
        starts(&line, "INFO: ");
        run_log("info", line);
    }
}

/* The next line of a text, without its end. */
static struct slice next_line(struct slice *rest) {
    const char *end = memchr(rest->data, '\n', rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    struct slice line = {rest->data, size};
    rest->data += end ? size + 1 : size;
    rest->size -= end ? size + 1 : size;
    return line;
}

void run_drain(void) {
    size_t size;
    char *text = logged(log_offset, &size);
    if (!text)
        return;
    log_offset = run_log_size();
    for (struct slice rest = {text, size}; rest.size;)
        log_line(next_line(&rest));
    free(text);
}

bool run_log_has(int64_t since, const char *words) {
    size_t size;
    char *text = logged(since, &size);
    bool found = text && memmem(text, size, words, strlen(words));
    free(text);
    return found;
}

void run_log_error(struct text *to, int64_t since) {
    size_t size;
    char *text = logged(since, &size);
    for (struct slice rest = {text, size}; rest.size;) {
        struct slice line = next_line(&rest);
        if (starts(&line, "ERROR: ")) {
            struct text valid = {0};
            text_utf8(&valid, line);
            struct slice shown = {valid.data, valid.size};
            text_add(to, shown.data, first_characters(shown, 300));
            text_free(&valid);
            break;
        }
    }
    free(text);
}

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void figures_inference(int64_t ns) {
    if (!figures.inferences) {
        figures.first_ns = ns;
        figures.samples = need(MOST_SAMPLES * sizeof *figures.samples);
    } else if (figures.count < MOST_SAMPLES) {
        figures.samples[figures.count++] = ns;
    } else {
        figures.samples[figures.inferences % MOST_SAMPLES] = ns;
    }
    figures.inferences++;
}

void figures_tell(const char *runtime) { told_runtime = runtime; }

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void milliseconds(struct text *to, const char *key, int64_t ns, bool known) {
    if (known)
        text_say(to, ",\"%s\":%lld.%06lld", key, (long long)(ns / 1000000), (long long)(ns % 1000000));
    else
        text_say(to, ",\"%s\":null", key);
}

static void tell_figures(void) {
    struct text metric = event("metric");
    bool ran = figures.inferences > 0;
    int64_t median = figures.first_ns, high = figures.first_ns;
    if (figures.count) {
        qsort(figures.samples, figures.count, sizeof *figures.samples, by_size);
        size_t at = figures.count * 95 / 100;
        median = figures.samples[figures.count / 2];
        high = figures.samples[at < figures.count ? at : figures.count - 1];
    }
    milliseconds(&metric, "load_ms", figures.load_ns, true);
    milliseconds(&metric, "init_ms", figures.init_ns, true);
    milliseconds(&metric, "first_ms", figures.first_ns, ran);
    milliseconds(&metric, "median_ms", median, ran);
    milliseconds(&metric, "p95_ms", high, ran);
    text_say(&metric, ",\"inferences\":%lld,\"calls\":%lld,\"peak_memory_bytes\":%lld", (long long)figures.inferences,
             (long long)figures.calls, (long long)status_bytes("VmHWM")); /* rusage would count whoever started this process */
    if (figures.code)
        event_text(&metric, "code", slice_of(figures.code));
    event_text(&metric, "runtime", slice_of(told_runtime));
    event_send(&metric);
}

void run_ends(const char *outcome, int status, const char *kind, const char *message, const char *remedy) {
    *run_phase = PHASE_END;
    if (told_runtime)
        tell_figures();
    run_drain();
    struct text end = event("end"), valid = {0};
    text_utf8(&valid, slice_of(message));
    event_text(&end, "outcome", slice_of(outcome));
    text_say(&end, ",\"status\":%d", status);
    event_text(&end, "kind", slice_of(kind));
    event_text(&end, "message", (struct slice){valid.data, valid.size});
    event_text(&end, "remedy", slice_of(remedy));
    event_send(&end);
    _exit(status); /* engines are not taken down one by one: the process ends here */
}

void run_is_out_of_memory(void) {
    /* No memory for a report line either: the words on standard error are what the supervisor looks for. */
    static const char words[] = "ERROR: out of memory in the runner itself\n";
    if (write(2, words, sizeof words - 1) < 0)
        _exit(125);
    _exit(125);
}
