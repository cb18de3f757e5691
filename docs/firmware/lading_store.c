#include "lading_store.h"

#include <string.h>

enum { POINTER_HEAD = 12, ENTRY = 8, CRC = 4, PIECE = 44, MOST_HEADER = 65536 };

static uint32_t u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t lading_crc32(const uint8_t *data, size_t size) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

bool lading_pointer_read(const uint8_t *data, size_t size, struct lading_pointer *out) {
  if (size < POINTER_HEAD + CRC || size > LADING_MOST_POINTER || memcmp(data, "LDP1", 4) != 0) return false;
  uint8_t count = data[8];
  if (count > LADING_MOST_ENTRIES || size != (size_t)POINTER_HEAD + ENTRY * (size_t)count + CRC) return false;
  if (data[9] != 0 || data[10] != 0 || data[11] != 0) return false;
  if (lading_crc32(data, size - CRC) != u32(data + size - CRC)) return false;
  out->sequence = u32(data + 4);
  out->count = count;
  for (uint8_t i = 0; i < count; i++) {
    const uint8_t *at = data + POINTER_HEAD + ENTRY * (size_t)i;
    if (at[0] == LADING_HERE || at[2] != 0 || at[3] != 0) return false;
    out->entries[i].slot = at[0];
    out->entries[i].flags = at[1];
    out->entries[i].header_crc = u32(at + 4);
  }
  return true;
}

int lading_pointer_choose(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                          struct lading_pointer *out) {
  struct lading_pointer other;
  bool has_first = lading_pointer_read(first, first_size, out);
  if (!lading_pointer_read(second, second_size, &other)) return has_first ? 0 : -1;
  if (has_first) {
    uint32_t ahead = other.sequence - out->sequence; /* sequence numbers go around */
    if (ahead == 0 || ahead >= 0x80000000u) return 0;
  }
  *out = other;
  return 1;
}

uint32_t lading_release_header_size(const uint8_t *head) {
  uint32_t size = u32(head + 4);
  return memcmp(head, "LDR1", 4) == 0 && size >= LADING_RELEASE_HEAD + CRC && size <= MOST_HEADER ? size : 0;
}

static bool take(const uint8_t **at, const uint8_t *end, uint8_t size, struct lading_text *out) {
  if ((size_t)(end - *at) < size) return false;
  out->data = (const char *)*at;
  out->size = size;
  *at += size;
  return true;
}

bool lading_release_read(const uint8_t *header, size_t size, uint32_t header_crc, struct lading_release *out) {
  if (size < LADING_RELEASE_HEAD + CRC) return false;
  uint32_t length = lading_release_header_size(header);
  if (length == 0 || length > size) return false;
  const uint8_t *end = header + length - CRC;
  if (u32(end) != header_crc || lading_crc32(header, length - CRC) != header_crc) return false;
  const uint8_t *at = header + LADING_RELEASE_HEAD;
  if (!take(&at, end, header[13], &out->app) || !take(&at, end, header[14], &out->release) ||
      !take(&at, end, header[15], &out->variant))
    return false;
  out->file_size = u32(header + 8);
  out->pieces = header[12];
  out->first = at;
  out->end = end;
  struct lading_piece piece;
  for (uint8_t i = 0; i < out->pieces; i++)
    if (!lading_release_next(out, &at, &piece)) return false;
  return at == end;
}

bool lading_release_next(const struct lading_release *release, const uint8_t **at, struct lading_piece *out) {
  const uint8_t *from = *at;
  if ((size_t)(release->end - from) < PIECE) return false;
  out->kind = from[0];
  out->slot = from[1];
  out->offset = u32(from + 4);
  out->size = u32(from + 8);
  out->sha256 = from + 12;
  if (out->kind < LADING_BILL || out->kind > LADING_FILE || from[3] != 0) return false;
  bool inside = out->slot == LADING_HERE
                    ? out->offset <= release->file_size && out->size <= release->file_size - out->offset
                    : out->offset == 0;
  uint8_t name_size = from[2];
  from += PIECE;
  if (!inside || !take(&from, release->end, name_size, &out->name)) return false;
  *at = from;
  return true;
}
