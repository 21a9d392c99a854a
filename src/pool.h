/* pool.h - blocks of one size that are needed again and again. */
#ifndef NEXTHOP_POOL_H
#define NEXTHOP_POOL_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Zero but for size, at least that of a pointer, before the first use. */
struct nh_pool {
    size_t size;
    unsigned n_spare;
    void *spare;
};

/* A zeroed block, NULL when memory is out. It may also be given to free(). */
void *nh_pool_take(struct nh_pool *pool);
void nh_pool_give(struct nh_pool *pool, void *block);

/* Frees the spare blocks. */
void nh_pool_empty(struct nh_pool *pool);

#pragma GCC visibility pop

#endif
