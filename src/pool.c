/* pool.c - holds some blocks of one size for their next use. It is meant for blocks of
 * kilobytes: malloc() has fast lists only up to 1 KB, and above that size every free() and
 * malloc() merges and splits blocks. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0 /* ASan must find a use after nh_pool_give() */
#else
#define SPARE_MAX 64
#endif

void *nh_pool_take(struct nh_pool *pool, size_t size)
{
    void *block = pool->spare;

    if (!block)
        return calloc(1, pool->size);
    pool->spare = *(void **)block;
    pool->n_spare--;
    return memset(block, 0, size);
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
