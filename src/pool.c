/*
 * pool.c - keeps some blocks of a size for the next use. For blocks of kilobytes: those malloc()
 * keeps apart at no price end at 1 KB, above it every free() and malloc() merges and splits.
 */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0 /* a use after nh_pool_give() is to be found */
#else
#define SPARE_MAX 64
#endif

void *nh_pool_take(struct nh_pool *pool)
{
    void *block = pool->spare;

    if (!block)
        return calloc(1, pool->size);
    pool->spare = *(void **)block;
    pool->n_spare--;
    return memset(block, 0, pool->size);
}

void nh_pool_give(struct nh_pool *pool, void *block)
{
    if (!block || pool->n_spare + 1 > SPARE_MAX) {
        free(block);
        return;
    }
    *(void **)block = pool->spare;
    pool->spare = block;
    pool->n_spare++;
}

void nh_pool_empty(struct nh_pool *pool)
{
    void *block;

    while ((block = pool->spare) != NULL) {
        pool->spare = *(void **)block;
        free(block);
    }
    pool->n_spare = 0;
}
