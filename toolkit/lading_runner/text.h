/* Growable text, and the few conversions that logs and reports need. */
#ifndef LADING_TEXT_H
#define LADING_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else keeps; not ended by a NUL. */
struct slice {
    const char *data;
    size_t size;
};

struct text {
    char *data; /* always ended by a NUL when there is any */
    size_t size;
    size_t room;
};

#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

/* Memory that is there: the run ends as out of memory otherwise. */
void *need(size_t size);
void *need_more(void *old, size_t size);
char *copied(struct slice from);

struct slice slice_of(const char *text);
bool same(struct slice a, struct slice b);
bool is(struct slice a, const char *b);
/* Whether a text begins with one of several, which stand behind each other with a space between them. */
bool begins_with_one_of(const char *text, const char *beginnings);

void text_add(struct text *to, const char *data, size_t size);
void text_say(struct text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

/* Bytes as valid UTF-8: what is not becomes U+FFFD, as Python's "replace" does it. */
void text_utf8(struct text *to, struct slice bytes);
/* Such a text in quotes, with Python's escapes. */
void text_quoted(struct text *to, struct slice bytes);
/* The shortest decimal number that reads back the same, as Python writes it. */
void text_double(struct text *to, double value);
void text_base64(struct text *to, const void *data, size_t size);
/* How many bytes the first COUNT characters of valid UTF-8 have. */
size_t first_characters(struct slice utf8, size_t count);

#endif
