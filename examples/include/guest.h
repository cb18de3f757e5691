/* What the example guests share: text output without stdio (which would triple the size of a module), and one way to
 * fail. Everything is static: each guest is a single translation unit. */
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasi_nn.h"

/* Exit statuses of the example guests. */
enum { GUEST_OK = 0, GUEST_NOT_GOOD_ENOUGH = 1, GUEST_USAGE = 2, GUEST_FAILED = 3 };

typedef struct {
  int fd;
  size_t used;
  char text[512];
} guest_out;

static guest_out out = {.fd = 1};
static guest_out err = {.fd = 2};

static void flush(guest_out *o) {
  for (size_t done = 0; done < o->used;) {
    ssize_t n = write(o->fd, o->text + done, o->used - done);
    if (n <= 0) _Exit(GUEST_FAILED);
    done += (size_t)n;
  }
  o->used = 0;
}

static void put_char(guest_out *o, char c) {
  if (o->used == sizeof o->text) flush(o);
  o->text[o->used++] = c;
}

static void put(guest_out *o, const char *text) {
  while (*text) put_char(o, *text++);
}

static void put_number(guest_out *o, uint64_t n) {
  char digits[20];
  int count = 0;
  do digits[count++] = (char)('0' + n % 10);
  while (n /= 10);
  while (count) put_char(o, digits[--count]);
}

/* Thousandths, as in 12345 -> "12.345". */
__attribute__((unused)) static void put_thousandths(guest_out *o, uint64_t n) {
  put_number(o, n / 1000);
  put_char(o, '.');
  for (unsigned place = 100; place; place /= 10) put_char(o, (char)('0' + n / place % 10));
}

_Noreturn static void fail(int status, const char *what, const char *thing, const char *why) {
  flush(&out);
  put(&err, what);
  if (thing) put(&err, " "), put(&err, thing);
  put(&err, ": ");
  put(&err, why);
  put_char(&err, '\n');
  flush(&err);
  _Exit(status);
}

static const char *errno_name(uint32_t number) {
  static const char *const names[] = {"success",       "invalid_argument",      "invalid_encoding",
                                      "missing_memory", "busy",                  "runtime_error",
                                      "unsupported_operation", "too_large",      "not_found"};
  return number < sizeof names / sizeof *names ? names[number] : "unknown errno";
}

/* Ends the guest when a wasi-nn call did not succeed, with the call's and the errno's names. */
static void check(const char *call, const char *thing, uint32_t number) {
  if (number == WASI_NN_SUCCESS) return;
  flush(&out);
  put(&err, call);
  if (thing) put(&err, " "), put(&err, thing);
  put(&err, ": ");
  put(&err, errno_name(number));
  put(&err, " (");
  put_number(&err, number);
  put(&err, ")\n");
  flush(&err);
  _Exit(GUEST_FAILED);
}

static long parse_number(const char *option, const char *text, long least, long most) {
  long value = 0;
  const char *p = text;
  for (; *p >= '0' && *p <= '9' && value <= most; p++) value = value * 10 + (*p - '0');
  if (p == text || *p || value < least || value > most) fail(GUEST_USAGE, option, NULL, "needs a whole number in its range");
  return value;
}

#endif
