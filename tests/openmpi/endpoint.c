/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The component smsc/libcma by its own interface, which few of Open MPI's parts use to the full: an
 * MPI program of two ranks that links Open MPI's internals. Rank 0 is the one that copies and maps;
 * rank 1 changes its memory in between, with a barrier before and behind each change. Prints what
 * was seen; aborts where it is not what it should be.
 */
#include "ompi_config.h"

#include "ompi/communicator/communicator.h"
#include "ompi/proc/proc.h"
#include "opal/constants.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/mca/smsc/smsc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mpi.h>

#define MB ((size_t) 1 << 20)
/* Of the memory that is copied and replaced, and of some behind it that is mapped bit by bit. */
#define SIZE (8 * MB)
#define PIECE (64UL << 10)

static int rank;

static void must(int truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "endpoint: rank %d: not so: %s\n", rank, what);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void meet(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

static char *pages_at(char *where, size_t size)
{
    char *memory = mmap(where, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);

    must(MAP_FAILED != memory, "there is memory");
    return memory;
}

static int all_are(const char *memory, char value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (value != memory[i]) {
            return 0;
        }
    }
    return 1;
}

/* Rank 1: its memory holds 1, is replaced by some that holds 2, and goes. */
static void owner(void)
{
    char *memory = pages_at(NULL, 2 * SIZE);

    memset(memory, 1, SIZE);
    memset(memory + SIZE, 3, SIZE);
    MPI_Send(&memory, sizeof(memory), MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    meet();
    must(all_are(memory, 7, MB), "what was copied to it is there");
    must(9 == memory[SIZE - 1], "what was stored through the mapping is there");
    memset(pages_at(memory, SIZE), 2, SIZE);
    meet();
    meet();
    munmap(memory, SIZE);
    meet();
    meet();
}

static void copies(mca_smsc_endpoint_t *endpoint, char *remote)
{
    char *local = malloc(SIZE);

    must(OPAL_SUCCESS == mca_smsc->copy_from(endpoint, local, remote, SIZE, NULL), "copy_from");
    must(all_are(local, 1, SIZE), "copy_from gives the peer's bytes");
    memset(local, 7, MB);
    must(OPAL_SUCCESS == mca_smsc->copy_to(endpoint, local, remote, MB, NULL), "copy_to");
    free(local);
}

/* More than are kept, each used and let go. */
static void many_mappings(mca_smsc_endpoint_t *endpoint, char *remote)
{
    for (int round = 0; round < 3; round++) {
        for (size_t at = SIZE; at < 2 * SIZE; at += PIECE) {
            char *local;
            void *region = mca_smsc->map_peer_region(endpoint, MCA_RCACHE_FLAGS_PERSIST,
                                                     remote + at, 4096, (void **) &local);
            must(NULL != region, "one of many mappings");
            must(3 == *(volatile char *) local, "one of many mappings shows the peer's bytes");
            mca_smsc->unmap_peer_region(region);
        }
    }
}

static void user(void)
{
    opal_proc_t *proc = &ompi_comm_peer_lookup(MPI_COMM_WORLD, 1)->super;
    mca_smsc_endpoint_t *endpoint;
    char *remote, *local, *again, byte;
    void *region, *second;

    must(NULL != mca_smsc, "a component was selected");
    must(mca_smsc_base_has_feature(MCA_SMSC_FEATURE_CAN_MAP), "it can map");
    must(!mca_smsc_base_has_feature(MCA_SMSC_FEATURE_REQUIRE_REGISTRATION),
         "it asks for no registration");
    endpoint = mca_smsc->get_endpoint(proc);
    must(NULL != endpoint, "there is an endpoint");
    MPI_Recv(&remote, sizeof(remote), MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);

    copies(endpoint, remote);
    region = mca_smsc->map_peer_region(endpoint, MCA_RCACHE_FLAGS_PERSIST, remote, SIZE,
                                       (void **) &local);
    must(NULL != region, "map_peer_region");
    must(7 == local[0] && 1 == local[MB], "the mapping shows the peer's bytes");
    local[SIZE - 1] = 9;
    mca_smsc->unmap_peer_region(region);
    meet();

    meet();
    second = mca_smsc->map_peer_region(endpoint, MCA_RCACHE_FLAGS_PERSIST, remote + MB, MB,
                                       (void **) &again);
    must(NULL != second && again == local + MB, "a mapping that is there is used again");
    must(all_are(again, 2, MB), "and shows the memory that the peer has by now");
    many_mappings(endpoint, remote);
    must(all_are(again, 2, MB), "a mapping that is in use stays");
    mca_smsc->unmap_peer_region(second);
    meet();

    meet();
    must(OPAL_SUCCESS != mca_smsc->copy_from(endpoint, &byte, remote, 1, NULL),
         "a copy of memory that is gone fails");
    mca_smsc->return_endpoint(endpoint);
    meet();
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    (0 == rank ? user : owner)();
    if (0 == rank) {
        printf("endpoint: copies and mappings are as they should be\n");
    }
    MPI_Finalize();
    return 0;
}
