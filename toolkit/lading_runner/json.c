#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64 };

struct reader {
    const char *at;
    const char *end;
    int depth;
};

static void space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, const char *word) {
    size_t size = strlen(word);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size))
        return false;
    r->at += size;
    return true;
}

static void add_code(struct text *to, uint32_t code) {
    char out[4];
    size_t size;
    if (code < 0x80) {
        out[0] = (char)code;
        size = 1;
    } else if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        size = 2;
    } else if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        size = 3;
    } else {
        out[0] = (char)(0xF0 | code >> 18);
        out[1] = (char)(0x80 | (code >> 12 & 63));
        out[2] = (char)(0x80 | (code >> 6 & 63));
        out[3] = (char)(0x80 | (code & 63));
        size = 4;
    }
    text_add(to, out, size);
}

static bool four_digits(struct reader *r, uint32_t *code) {
    if (r->end - r->at < 4)
        return false;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

static bool escape(struct reader *r, struct text *to) {
    if (r->at >= r->end)
        return false;
    char c = *r->at++;
    const char *plain = strchr("\"\\/", c);
    if (c && plain) {
        text_add(to, &c, 1);
        return true;
    }
    const char *from = "bfnrt", *into = "\b\f\n\r\t", *found = c ? strchr(from, c) : NULL;
    if (found) {
        text_add(to, into + (found - from), 1);
        return true;
    }
    uint32_t code, low;
    if (c != 'u' || !four_digits(r, &code))
        return false;
    if (code >= 0xD800 && code < 0xDC00 && take(r, "\\u")) {
        if (!four_digits(r, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    add_code(to, code);
    return true;
}

static bool string(struct reader *r, struct slice *into) {
    if (!take(r, "\""))
        return false;
    struct text text = {0};
    text_add(&text, "", 0);
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            if (!escape(r, &text))
                return false;
        } else {
            const char *from = r->at;
            while (r->at < r->end && *r->at != '"' && *r->at != '\\')
                r->at++;
            text_add(&text, from, (size_t)(r->at - from));
        }
    }
    *into = (struct slice){text.data, text.size};
    return take(r, "\"");
}

static bool number(struct reader *r, struct json *into) {
    char digits[64];
    size_t size = 0;
    bool whole = true;
    while (r->at < r->end && size < sizeof digits - 1 && (strchr("+-.eE", *r->at) || (*r->at >= '0' && *r->at <= '9'))) {
        if (*r->at == '.' || *r->at == 'e' || *r->at == 'E')
            whole = false;
        digits[size++] = *r->at++;
    }
    digits[size] = 0;
    char *end;
    into->kind = JSON_NUMBER;
    into->number = strtod(digits, &end);
    into->whole = whole && size < 19;
    into->integer = into->whole ? strtoll(digits, NULL, 10) : 0;
    return size && !*end;
}

static struct json *value(struct reader *r);

static bool members(struct reader *r, struct json *into, bool keyed) {
    struct json **last = &into->first;
    const char *close = keyed ? "}" : "]";
    space(r);
    if (take(r, close))
        return true;
    for (;;) {
        struct slice key = {0};
        space(r);
        if (keyed) {
            if (!string(r, &key))
                return false;
            space(r);
            if (!take(r, ":"))
                return false;
        }
        struct json *item = value(r);
        if (!item)
            return false;
        item->key = key;
        *last = item;
        last = &item->next;
        into->count++;
        space(r);
        if (take(r, close))
            return true;
        if (!take(r, ","))
            return false;
    }
}

static bool inside(struct reader *r, struct json *into, enum json_kind kind) {
    into->kind = kind;
    if (++r->depth > DEEPEST)
        return false;
    bool good = members(r, into, kind == JSON_OBJECT);
    r->depth--;
    return good;
}

static struct json *value(struct reader *r) {
    struct json *found = need(sizeof *found);
    space(r);
    bool good;
    if (r->at >= r->end)
        return NULL;
    if (*r->at == '"') {
        found->kind = JSON_TEXT;
        good = string(r, &found->text);
    } else if (take(r, "{")) {
        good = inside(r, found, JSON_OBJECT);
    } else if (take(r, "[")) {
        good = inside(r, found, JSON_LIST);
    } else if (take(r, "null")) {
        good = true;
    } else if (take(r, "true")) {
        found->kind = JSON_TRUE;
        good = true;
    } else if (take(r, "false")) {
        found->kind = JSON_FALSE;
        good = true;
    } else {
        good = number(r, found);
    }
    return good ? found : NULL;
}

struct json *json_read(struct slice document) {
    struct reader r = {document.data, document.data + document.size, 0};
    struct json *found = value(&r);
    space(&r);
    return r.at == r.end ? found : NULL;
}

const struct json *json_get(const struct json *object, const char *key) {
    const struct json *found = NULL;
    if (object && object->kind == JSON_OBJECT)
        for (const struct json *item = object->first; item; item = item->next)
            if (is(item->key, key))
                found = item;
    return found;
}

struct slice json_text(const struct json *object, const char *key, const char *otherwise) {
    const struct json *found = json_get(object, key);
    return found && found->kind == JSON_TEXT ? found->text : otherwise ? slice_of(otherwise) : (struct slice){0};
}

int64_t json_integer(const struct json *object, const char *key, int64_t otherwise) {
    const struct json *found = json_get(object, key);
    return found && found->kind == JSON_NUMBER && found->whole ? found->integer : otherwise;
}

double json_number(const struct json *object, const char *key, double otherwise) {
    const struct json *found = json_get(object, key);
    return found && found->kind == JSON_NUMBER ? found->number : otherwise;
}

bool json_missing(const struct json *object, const char *key) {
    const struct json *found = json_get(object, key);
    return !found || found->kind == JSON_NULL;
}

const struct json *json_first(const struct json *object, const char *key) {
    const struct json *found = json_get(object, key);
    return found && (found->kind == JSON_LIST || found->kind == JSON_OBJECT) ? found->first : NULL;
}

void text_json(struct text *to, struct slice utf8) {
    text_add(to, "\"", 1);
    for (size_t i = 0; i < utf8.size; i++) {
        unsigned char c = (unsigned char)utf8.data[i];
        if (c == '"' || c == '\\')
            text_say(to, "\\%c", c);
        else if (c < 0x20)
            text_say(to, "\\u%04x", c);
        else
            text_add(to, utf8.data + i, 1);
    }
    text_add(to, "\"", 1);
}
