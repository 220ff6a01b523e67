/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file
 *
 * Shared-memory single copy by libcma and /dev/cma.
 *
 * Each process opens its address space to its own user, as a window, and sends the window's name by
 * the modex; a peer opens a handle by that name. Neither needs ptrace permission: it works at every
 * kernel.yama.ptrace_scope, and between containers that share /dev/cma and the user's id.
 */
#ifndef OPAL_MCA_SMSC_LIBCMA_H
#define OPAL_MCA_SMSC_LIBCMA_H

#include "opal_config.h"

#include "opal/class/opal_list.h"
#include "opal/mca/smsc/smsc.h"
#include "opal/mca/threads/mutex.h"

#include <cma.h>

struct mca_smsc_libcma_component_t {
    mca_smsc_component_t super;

    /** What all copies, handles and the window belong to; NULL while the component is not in use. */
    struct cma_context *context;
    /** Whether the module can map memory (CMA_CAN_MAP). */
    bool can_map;

    /** MCA parameter: who may open the window, as in a file's mode. */
    unsigned int window_mode;
    /** MCA parameter: mappings of one peer that are kept though nobody uses them. */
    unsigned int max_mappings;
    /** MCA parameter: mappings begin and end at multiples of 2 to the power of this. */
    unsigned int log_align;
};

typedef struct mca_smsc_libcma_component_t mca_smsc_libcma_component_t;

/** What a process sends to its peers. */
struct mca_smsc_libcma_modex_t {
    /** Of the window that is its whole address space: offsets there are its addresses. */
    uint64_t window;
};

typedef struct mca_smsc_libcma_modex_t mca_smsc_libcma_modex_t;

struct mca_smsc_libcma_endpoint_t {
    mca_smsc_endpoint_t super;

    /** Of the peer's window. */
    int handle;

    /** Protects mappings, and what is said of each. */
    opal_mutex_t lock;
    /** mca_smsc_libcma_mapping_t, the one that was used last at the front. */
    opal_list_t mappings;
};

typedef struct mca_smsc_libcma_endpoint_t mca_smsc_libcma_endpoint_t;

OBJ_CLASS_DECLARATION(mca_smsc_libcma_endpoint_t);

/**
 * A part of the peer's memory, mapped here. It follows the peer's address space, so that it may be
 * kept for as long as the peer is there: it never shows memory that the peer has no more.
 */
struct mca_smsc_libcma_mapping_t {
    opal_list_item_t super;

    mca_smsc_libcma_endpoint_t *endpoint;
    /** The first byte's address in the peer. */
    uintptr_t base;
    size_t length;
    /** Where that byte is mapped. */
    void *address;
    /** Callers of map_peer_region() that did not unmap yet. */
    int users;
    /** Whether it is on the endpoint's list. */
    bool kept;
};

typedef struct mca_smsc_libcma_mapping_t mca_smsc_libcma_mapping_t;

OBJ_CLASS_DECLARATION(mca_smsc_libcma_mapping_t);

extern mca_smsc_libcma_component_t mca_smsc_libcma_component;
extern mca_smsc_module_t mca_smsc_libcma_module;

mca_smsc_endpoint_t *mca_smsc_libcma_get_endpoint(opal_proc_t *peer_proc);
void mca_smsc_libcma_return_endpoint(mca_smsc_endpoint_t *endpoint);

int mca_smsc_libcma_copy_to(mca_smsc_endpoint_t *endpoint, void *local_address,
                            void *remote_address, size_t size, void *reg_handle);
int mca_smsc_libcma_copy_from(mca_smsc_endpoint_t *endpoint, void *local_address,
                              void *remote_address, size_t size, void *reg_handle);

void *mca_smsc_libcma_map_peer_region(mca_smsc_endpoint_t *endpoint, uint64_t flags,
                                      void *remote_address, size_t size, void **local_mapping);
void mca_smsc_libcma_unmap_peer_region(void *ctx);

void *mca_smsc_libcma_register_region(void *local_address, size_t size);
void mca_smsc_libcma_deregister_region(void *reg_data);

#endif /* OPAL_MCA_SMSC_LIBCMA_H */
