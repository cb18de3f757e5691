/* SHA-256 (FIPS 180-4). */
#ifndef LADING_SHA256_H
#define LADING_SHA256_H

#include "text.h"

enum { SHA256_BYTES = 32 };

void sha256(const void *data, size_t size, unsigned char digest[SHA256_BYTES]);
/* A digest in hexadecimal digits. */
void text_hex(struct text *to, const unsigned char digest[SHA256_BYTES]);

#endif
