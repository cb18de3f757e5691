/* Random numbers, and inputs made of others. */
#include <string.h>

#include "fuzz.h"

static const char *const WORDS[] = {
    "null", "true", "false", "-1", "0", "1e999", "18446744073709551616", "9223372036854775807", "-9223372036854775808",
    "[]", "{}", "\"\"", "\"success\"", "\"trap\"", "\"abort\"", "\"any\"", "\"copy\"", "\"quantize\"", "\"none\"",
    "\"\\ud800\"", "\"\\u0000\"", "[[[[[[[[", "{\"a\":", "\"step\":", "\"fail\":", "0.5", "1e-400", ",", ":", "\"litert\"",
};

static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint32_t random_below(uint64_t *state, uint32_t bound) { return bound ? (uint32_t)(next(state) >> 32) % bound : 0; }

static size_t insert(unsigned char *data, size_t size, size_t at, const unsigned char *from, size_t count) {
    if (count > MOST_INPUT - size)
        count = MOST_INPUT - size;
    memmove(data + at + count, data + at, size - at);
    if (from)
        memmove(data + at, from, count);
    return size + count;
}

static void change_number(uint64_t *random, unsigned char *at, size_t left) {
    static const int64_t values[] = {0, 1, -1, 2, 4, 8, 16, 127, 128, 255, 256, 32767, 65535, 65536, 0x7FFFFFFF, -0x80000000LL, 0x7FFFFFF0};
    size_t width = (size_t)1 << random_below(random, 4);
    uint64_t value = 0; /* it may go round */
    if (width > left)
        return;
    memcpy(&value, at, width);
    if (random_below(random, 2))
        value += random_below(random, 71) - (uint64_t)35;
    else
        value = (uint64_t)values[random_below(random, sizeof values / sizeof *values)];
    memcpy(at, &value, width);
}

/* Leave an object out of a JSON document, or put it once more somewhere else: steps and rules are such. */
static size_t change_object(uint64_t *random, unsigned char *data, size_t size) {
    unsigned char piece[1024];
    size_t at = random_below(random, (uint32_t)size + 1);
    while (at < size && data[at] != '{')
        at++;
    size_t end = at;
    int depth = 0;
    do {
        if (end == size || end - at == sizeof piece)
            return size;
        depth += (data[end] == '{') - (data[end] == '}');
    } while (++end, depth);
    size_t count = end - at;
    memcpy(piece, data + at, count);
    if (random_below(random, 3)) { /* with its comma */
        size_t whole = end < size && (data[end] == ',' || (end + 1 < size && data[end] == ' ')) ? count + 1 : count;
        memmove(data + at, data + at + whole, size - at - whole);
        size -= whole;
        if (random_below(random, 2))
            return size;
    }
    size_t to = random_below(random, (uint32_t)size + 1);
    while (to < size && data[to] != '{')
        to++;
    size = insert(data, size, to, (const unsigned char *)",", 1);
    return insert(data, size, to, piece, count);
}

static size_t change(uint64_t *random, unsigned char *data, size_t size, const unsigned char *other, size_t other_size, bool text) {
    size_t at = random_below(random, (uint32_t)size + 1), count = 1 + random_below(random, random_below(random, 8) ? 8 : 256);
    switch (random_below(random, text ? 13 : 8)) {
    case 0:
        if (at < size)
            data[at] ^= (unsigned char)(1u << random_below(random, 8));
        return size;
    case 1:
        if (at < size)
            data[at] = (unsigned char)next(random);
        return size;
    case 2:
    case 3:
        change_number(random, data + at, size - at);
        return size;
    case 4: /* some less */
        count = count > size - at ? size - at : count;
        memmove(data + at, data + at + count, size - at - count);
        return size - count;
    case 5: { /* some more of anything */
        unsigned char bytes[256];
        for (size_t i = 0; i < count; i++)
            bytes[i] = (unsigned char)next(random);
        return insert(data, size, at, bytes, count);
    }
    case 6: { /* a piece once more, elsewhere */
        unsigned char bytes[256];
        size_t from = random_below(random, (uint32_t)size + 1);
        count = count > size - from ? size - from : count;
        memcpy(bytes, data + from, count);
        if (random_below(random, 2))
            return insert(data, size, at, bytes, count);
        memcpy(data + at, bytes, count > size - at ? size - at : count);
        return size;
    }
    case 7: { /* another input's piece */
        size_t from = random_below(random, (uint32_t)other_size + 1);
        count = random_below(random, (uint32_t)(other_size - from) + 1);
        if (random_below(random, 2))
            return insert(data, size, at, other + from, count);
        memcpy(data + at, other + from, count > size - at ? size - at : count);
        return size;
    }
    case 8:
    case 9:
    case 10:
        return change_object(random, data, size);
    default: {
        const char *word = WORDS[random_below(random, sizeof WORDS / sizeof *WORDS)];
        size_t end = at; /* in the place of a value, or of what is left of one */
        while (end < size && end < at + 64 && !strchr(",:]}", data[end]))
            end++;
        memmove(data + at, data + end, size - end);
        return insert(data, size - (end - at), at, (const unsigned char *)word, strlen(word));
    }
    }
}

size_t mutate(uint64_t *random, unsigned char *data, size_t size, const unsigned char *other, size_t other_size, bool text) {
    int times = 1 << random_below(random, 5);
    for (int i = 0; i < times; i++)
        size = change(random, data, size, other, other_size, text);
    return size;
}
