/* Whether a module can be linked: a question about its imports and the profile's data alone. */
#ifndef LADING_LINK_H
#define LADING_LINK_H

#include "profile.h"

struct import {
    struct slice module;
    struct slice name;
    const void *type; /* of a function; NULL for anything else */
};

struct import link_import(const void *import);
/* Why it cannot be served; NULL when it can. */
char *link_missing(const struct profile *profile, const struct import *import);
/* Serve WASI under the profile's other names for it: the engine knows one only. */
void link_alias(const struct profile *profile, const struct import *import, void *linker, void *context);

#endif
