/* What a firmware reads of what lading put on its file system: the two pointer files, and the heads of release files.
 * C11, no dependencies, no allocation. The layout is in docs/firmware.md. */
#ifndef LADING_STORE_H
#define LADING_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LADING_MOST_ENTRIES 31
#define LADING_MOST_POINTER (12 + 8 * LADING_MOST_ENTRIES + 4)
#define LADING_RELEASE_HEAD 16
#define LADING_HERE 255

enum { LADING_CURRENT = 1, LADING_PREVIOUS = 2, LADING_PINNED = 4 };
enum { LADING_BILL = 1, LADING_MODULE = 2, LADING_MODEL = 3, LADING_FILE = 4 };

struct lading_entry {
  uint8_t slot;
  uint8_t flags;
  uint32_t header_crc;
};

struct lading_pointer {
  uint32_t sequence;
  uint8_t count;
  struct lading_entry entries[LADING_MOST_ENTRIES];
};

/* Names are not terminated by a zero. They point into the header that was read. */
struct lading_text {
  const char *data;
  uint8_t size;
};

struct lading_release {
  struct lading_text app, release, variant;
  uint32_t file_size;
  uint8_t pieces;
  const uint8_t *first; /* where the pieces begin, and where they end */
  const uint8_t *end;
};

struct lading_piece {
  uint8_t kind;
  uint8_t slot; /* LADING_HERE: it lies in the release file itself */
  uint32_t offset;
  uint32_t size;
  const uint8_t *sha256;
  struct lading_text name;
};

uint32_t lading_crc32(const uint8_t *data, size_t size);

/* False for a pointer file that is torn, damaged or none. */
bool lading_pointer_read(const uint8_t *data, size_t size, struct lading_pointer *out);

/* Which of the two pointer files counts: 0 or 1, and what it says; -1 if neither is one. A file that is not there has
 * the size 0. */
int lading_pointer_choose(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                          struct lading_pointer *out);

/* How long the header is of a release file that begins so (LADING_RELEASE_HEAD octets); 0 for what is none. */
uint32_t lading_release_header_size(const uint8_t *head);

/* Reads a header, all of it. False if it is not the one that the pointer's entry means. */
bool lading_release_read(const uint8_t *header, size_t size, uint32_t header_crc, struct lading_release *out);

/* The first or next piece; `at` begins as `release->first` and is moved on. False after the last one. */
bool lading_release_next(const struct lading_release *release, const uint8_t **at, struct lading_piece *out);

#endif
