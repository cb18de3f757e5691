/* The wasm engine: its settings, and the words by which code that was compiled under them is known. */
#ifndef LADING_ENGINE_H
#define LADING_ENGINE_H

#include "json.h"

/* An engine with a profile's features; every setting that code depends on is written to `settings`.
 * `parallel`: threads share the work of compiling, which changes nothing about the code. */
void *engine_new(const struct json *features, bool parallel, struct text *settings);

#endif
