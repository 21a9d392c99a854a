/* pool.h - blocks of one size that are needed again and again. */
#pragma once

#include <stddef.h>

/* Before the first use everything is zero except size, which is at least the size of a pointer. */
struct nh_pool {
    size_t size;
    unsigned n_spare;
    void *spare;
};

/* nh_pool_take() returns a block whose first `size` bytes are zero, or NULL when memory runs out. size is at
 * most that of the pool. The block may also be freed with free(). */
void *nh_pool_take(struct nh_pool *pool, size_t size);
void nh_pool_give(struct nh_pool *pool, void *block);

/* Frees the blocks that are not in use. */
void nh_pool_empty(struct nh_pool *pool);
