#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

void *need(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        run_is_out_of_memory();
    return memory;
}

void *need_more(void *old, size_t size) {
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        run_is_out_of_memory();
    return memory;
}

char *copied(struct slice from) {
    char *text = need(from.size + 1);
    if (from.size)
        memcpy(text, from.data, from.size);
    return text;
}

struct slice slice_of(const char *text) { return (struct slice){text, strlen(text)}; }

bool same(struct slice a, struct slice b) { return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size)); }

bool is(struct slice a, const char *b) { return same(a, slice_of(b)); }

static void make_room(struct text *to, size_t more) {
    size_t wanted = to->size + more + 1;
    if (wanted <= to->room)
        return;
    to->room = wanted * 2 < 64 ? 64 : wanted * 2;
    to->data = need_more(to->data, to->room);
}

void text_add(struct text *to, const char *data, size_t size) {
    make_room(to, size);
    if (size)
        memcpy(to->data + to->size, data, size);
    to->size += size;
    to->data[to->size] = 0;
}

void text_say(struct text *to, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        make_room(to, (size_t)size);
        vsnprintf(to->data + to->size, (size_t)size + 1, format, again);
        to->size += (size_t)size;
    }
    va_end(again);
}

void text_free(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}

/* Bytes of the valid UTF-8 sequence at the beginning, or 0; `bad` then says how many bytes stand for one U+FFFD. */
static size_t sequence(const unsigned char *p, size_t left, size_t *bad) {
    *bad = 1;
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (!length)
        return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < length; i++) {
        if (i >= left || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

void text_utf8(struct text *to, struct slice bytes) {
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    while (left) {
        size_t bad, good = sequence(p, left, &bad);
        if (good)
            text_add(to, (const char *)p, good);
        else
            text_add(to, "\xEF\xBF\xBD", 3);
        p += good ? good : bad;
        left -= good ? good : bad;
    }
}

void text_quoted(struct text *to, struct slice bytes) {
    struct text plain = {0};
    text_utf8(&plain, bytes);
    bool single = plain.size && memchr(plain.data, '\'', plain.size);
    bool twice = plain.size && memchr(plain.data, '"', plain.size);
    char quote = single && !twice ? '"' : '\'';
    text_add(to, &quote, 1);
    for (size_t i = 0; i < plain.size; i++) {
        unsigned char c = (unsigned char)plain.data[i];
        unsigned char next = i + 1 < plain.size ? (unsigned char)plain.data[i + 1] : 0;
        if (c == '\\' || c == (unsigned char)quote)
            text_say(to, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            text_say(to, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < 0x20 || c == 0x7F)
            text_say(to, "\\x%02x", c);
        else if (c == 0xC2 && (next < 0xA1 || next == 0xAD)) /* C1 controls, the hard space and the soft hyphen */
            text_say(to, "\\x%02x", next), i++;
        else
            text_add(to, plain.data + i, 1);
    }
    text_add(to, &quote, 1);
    text_free(&plain);
}

void text_double(struct text *to, double value) {
    if (isnan(value) || isinf(value)) {
        text_say(to, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    char digits[40];
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, value);
    } while (strtod(digits, NULL) != value && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        *strchr(digits, 'e') = 0;
        text_say(to, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = precision - exponent;
    text_say(to, "%.*f", decimals > 1 ? decimals : 1, value);
}

bool begins_with_one_of(const char *text, const char *beginnings) {
    for (const char *p = beginnings; *p; p += strspn(p, " ")) {
        size_t size = strcspn(p, " ");
        if (!strncmp(text, p, size))
            return true;
        p += size;
    }
    return false;
}

void text_base64(struct text *to, const void *data, size_t size) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    make_room(to, (size + 2) / 3 * 4);
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], left > 1 ? alphabet[v >> 6 & 63] : '=',
                        left > 2 ? alphabet[v & 63] : '='};
        text_add(to, four, 4);
    }
}

size_t first_characters(struct slice utf8, size_t count) {
    size_t at = 0;
    while (at < utf8.size && count) {
        at++;
        while (at < utf8.size && ((unsigned char)utf8.data[at] & 0xC0) == 0x80)
            at++;
        count--;
    }
    return at;
}
