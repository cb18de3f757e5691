// The whole-process cases that end without a call: an exit status of its own, and a trap.
#include <stdlib.h>
int main(void) {
#ifdef EXIT
  exit(EXIT);
#else
  __builtin_trap();
#endif
}
