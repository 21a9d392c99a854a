/* gather_raw.h - one DNS lookup whose answer is returned as data. */
#pragma once

#include "op.h"

struct nh_raw {
    struct nh_op op;
    char name[NH_HOST_MAX];
    uint16_t type;
    struct nh_lookup lookup; /* holds the answer until the call is stopped */
};

/* The caller has set name and type. */
extern const struct nh_op_type nh_raw_type;
