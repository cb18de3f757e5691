/* JSON, read into a tree. What is read here comes from the agent, not from a guest. */
#ifndef LADING_JSON_H
#define LADING_JSON_H

#include "text.h"

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT };

struct json {
    enum json_kind kind;
    double number;
    int64_t integer; /* the number, when it is one */
    bool whole;      /* the number is an integer that fits */
    struct slice text;
    struct slice key;    /* inside an object */
    struct json *first;  /* of a list or an object */
    struct json *next;   /* in the list or object around it */
    size_t count;
};

/* NULL when it is not JSON; the tree is kept to the end of the process. */
struct json *json_read(struct slice document);
/* The value of a key, or NULL; NULL also when there is no object. The last one counts, as everywhere. */
const struct json *json_get(const struct json *object, const char *key);
/* The same with a value to fall back on when it is missing or of another kind. */
struct slice json_text(const struct json *object, const char *key, const char *otherwise);
int64_t json_integer(const struct json *object, const char *key, int64_t otherwise);
double json_number(const struct json *object, const char *key, double otherwise);
bool json_missing(const struct json *object, const char *key);
const struct json *json_first(const struct json *object, const char *key);

/* A JSON string, in quotes. */
void text_json(struct text *to, struct slice utf8);

#endif
