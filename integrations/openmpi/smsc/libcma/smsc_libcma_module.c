/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file
 *
 * Copies and mappings through a handle of the peer's window.
 *
 * Nothing is registered: /dev/cma keeps translations of the peer's memory, and keeps them true as
 * that memory changes. Copies do not go through mappings: where the peer has no memory any more a
 * copy fails, and a load or store is SIGBUS.
 */
#include "opal_config.h"

#include "opal/align.h"
#include "opal/mca/pmix/pmix-internal.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/mca/smsc/base/base.h"
#include "opal/mca/smsc/libcma/smsc_libcma.h"
#include "opal/util/proc.h"
#include "opal/util/sys_limits.h"

#include <stdlib.h>
#include <sys/mman.h>

static void endpoint_construct(mca_smsc_libcma_endpoint_t *endpoint)
{
    endpoint->handle = -1;
    OBJ_CONSTRUCT(&endpoint->lock, opal_mutex_t);
    OBJ_CONSTRUCT(&endpoint->mappings, opal_list_t);
}

/* Releases the mappings that are kept; nobody may use one any more. */
static void endpoint_destruct(mca_smsc_libcma_endpoint_t *endpoint)
{
    OPAL_LIST_DESTRUCT(&endpoint->mappings);
    OBJ_DESTRUCT(&endpoint->lock);
    if (0 <= endpoint->handle) {
        (void) cma_handle_close(mca_smsc_libcma_component.context, endpoint->handle);
    }
}

OBJ_CLASS_INSTANCE(mca_smsc_libcma_endpoint_t, opal_object_t, endpoint_construct,
                   endpoint_destruct);

static void mapping_construct(mca_smsc_libcma_mapping_t *mapping)
{
    mapping->address = NULL;
    mapping->users = 0;
    mapping->kept = false;
}

static void mapping_destruct(mca_smsc_libcma_mapping_t *mapping)
{
    if (NULL != mapping->address) {
        (void) cma_unmap(mapping->address, mapping->length);
    }
}

OBJ_CLASS_INSTANCE(mca_smsc_libcma_mapping_t, opal_list_item_t, mapping_construct,
                   mapping_destruct);

/* What failed with the peer, and why, for those who ask Open MPI to be verbose. */
static void tell(const char *what, struct cma_peer peer, int error)
{
    char why[512];

    (void) cma_explain(mca_smsc_libcma_component.context, peer, error, why, sizeof(why));
    opal_output_verbose(MCA_BASE_VERBOSE_ERROR, opal_smsc_base_framework.framework_output,
                        "smsc/libcma: %s: %s", what, why);
}

mca_smsc_endpoint_t *mca_smsc_libcma_get_endpoint(opal_proc_t *peer_proc)
{
    struct cma_context *context = mca_smsc_libcma_component.context;
    mca_smsc_libcma_endpoint_t *endpoint;
    mca_smsc_libcma_modex_t *modex;
    size_t size;
    int rc;

    OPAL_MODEX_RECV_IMMEDIATE(rc, &mca_smsc_libcma_component.super.smsc_version,
                              &peer_proc->proc_name, (void **) &modex, &size);
    if (OPAL_UNLIKELY(OPAL_SUCCESS != rc)) {
        return NULL;
    }
    if (OPAL_UNLIKELY(sizeof(*modex) != size)) {
        free(modex);
        return NULL;
    }
    endpoint = OBJ_NEW(mca_smsc_libcma_endpoint_t);
    if (OPAL_UNLIKELY(NULL == endpoint)) {
        free(modex);
        return NULL;
    }

    endpoint->super.proc = peer_proc;
    endpoint->handle = cma_window_open(context, modex->window, CMA_ACCESS_READ | CMA_ACCESS_WRITE);
    free(modex);
    if (OPAL_UNLIKELY(0 > endpoint->handle)) {
        tell("the peer's window cannot be opened", (struct cma_peer){0}, endpoint->handle);
        OBJ_RELEASE(endpoint);
        return NULL;
    }
    return &endpoint->super;
}

void mca_smsc_libcma_return_endpoint(mca_smsc_endpoint_t *endpoint)
{
    OBJ_RELEASE(endpoint);
}

/* A copy that ends early says why when it is asked for the rest. */
static int copy(mca_smsc_endpoint_t *endpoint, char *local, uintptr_t remote, size_t size, bool write)
{
    const struct cma_peer peer = cma_handle(((mca_smsc_libcma_endpoint_t *) endpoint)->handle);
    struct cma_context *context = mca_smsc_libcma_component.context;

    while (0 < size) {
        ssize_t done = write ? cma_write(context, peer, local, remote, size)
                             : cma_read(context, peer, local, remote, size);
        if (OPAL_UNLIKELY(0 > done)) {
            tell(write ? "write" : "read", peer, (int) done);
            return OPAL_ERROR;
        }
        local += done;
        remote += done;
        size -= done;
    }
    return OPAL_SUCCESS;
}

int mca_smsc_libcma_copy_to(mca_smsc_endpoint_t *endpoint, void *local_address,
                            void *remote_address, size_t size, void *reg_handle)
{
    (void) reg_handle;
    return copy(endpoint, local_address, (uintptr_t) remote_address, size, true);
}

int mca_smsc_libcma_copy_from(mca_smsc_endpoint_t *endpoint, void *local_address,
                              void *remote_address, size_t size, void *reg_handle)
{
    (void) reg_handle;
    return copy(endpoint, local_address, (uintptr_t) remote_address, size, false);
}

/* Called with the endpoint's lock. */
static mca_smsc_libcma_mapping_t *find_mapping(mca_smsc_libcma_endpoint_t *endpoint, uintptr_t base,
                                               size_t length)
{
    mca_smsc_libcma_mapping_t *mapping;

    OPAL_LIST_FOREACH (mapping, &endpoint->mappings, mca_smsc_libcma_mapping_t) {
        if (mapping->base <= base && base - mapping->base <= mapping->length
            && length <= mapping->length - (base - mapping->base)) {
            return mapping;
        }
    }
    return NULL;
}

/* Called with the endpoint's lock. Those that are in use stay. */
static void drop_unused(mca_smsc_libcma_endpoint_t *endpoint, size_t limit)
{
    mca_smsc_libcma_mapping_t *mapping, *prev;

    OPAL_LIST_FOREACH_SAFE_REV (mapping, prev, &endpoint->mappings, mca_smsc_libcma_mapping_t) {
        if (opal_list_get_size(&endpoint->mappings) <= limit) {
            return;
        }
        if (0 == mapping->users) {
            opal_list_remove_item(&endpoint->mappings, &mapping->super);
            OBJ_RELEASE(mapping);
        }
    }
}

static mca_smsc_libcma_mapping_t *new_mapping(mca_smsc_libcma_endpoint_t *endpoint, uintptr_t base,
                                              size_t length, uintptr_t align)
{
    mca_smsc_libcma_mapping_t *mapping = OBJ_NEW(mca_smsc_libcma_mapping_t);
    int rc;

    if (OPAL_UNLIKELY(NULL == mapping)) {
        return NULL;
    }
    mapping->endpoint = endpoint;
    mapping->base = OPAL_DOWN_ALIGN(base, align, uintptr_t);
    mapping->length = OPAL_ALIGN(base + length, align, uintptr_t) - mapping->base;
    rc = cma_map(mca_smsc_libcma_component.context, endpoint->handle, mapping->base,
                 mapping->length, PROT_READ | PROT_WRITE, 0, &mapping->address);
    if (OPAL_UNLIKELY(0 > rc)) {
        tell("map", cma_handle(endpoint->handle), rc);
        OBJ_RELEASE(mapping);
        return NULL;
    }
    return mapping;
}

/* Called with the endpoint's lock. At the end of the address space there is no room to align. */
static mca_smsc_libcma_mapping_t *make_mapping(mca_smsc_libcma_endpoint_t *endpoint, uint64_t flags,
                                               uintptr_t base, size_t length)
{
    const uintptr_t align = (uintptr_t) 1 << mca_smsc_libcma_component.log_align;
    mca_smsc_libcma_mapping_t *mapping = new_mapping(endpoint, base, length, align);

    if (NULL == mapping) {
        mapping = new_mapping(endpoint, base, length, opal_getpagesize());
    }
    if (NULL == mapping || 0 == mca_smsc_libcma_component.max_mappings
        || (flags & MCA_RCACHE_FLAGS_CACHE_BYPASS)) {
        return mapping;
    }
    mapping->kept = true;
    drop_unused(endpoint, mca_smsc_libcma_component.max_mappings - 1);
    opal_list_prepend(&endpoint->mappings, &mapping->super);
    return mapping;
}

void *mca_smsc_libcma_map_peer_region(mca_smsc_endpoint_t *endpoint, uint64_t flags,
                                      void *remote_address, size_t size, void **local_mapping)
{
    mca_smsc_libcma_endpoint_t *libcma_endpoint = (mca_smsc_libcma_endpoint_t *) endpoint;
    const uintptr_t base = (uintptr_t) remote_address;
    mca_smsc_libcma_mapping_t *mapping;

    OPAL_THREAD_LOCK(&libcma_endpoint->lock);
    mapping = find_mapping(libcma_endpoint, base, size);
    if (NULL == mapping) {
        mapping = make_mapping(libcma_endpoint, flags, base, size);
    } else {
        opal_list_remove_item(&libcma_endpoint->mappings, &mapping->super);
        opal_list_prepend(&libcma_endpoint->mappings, &mapping->super);
    }
    if (OPAL_LIKELY(NULL != mapping)) {
        mapping->users++;
        *local_mapping = (char *) mapping->address + (base - mapping->base);
    }
    OPAL_THREAD_UNLOCK(&libcma_endpoint->lock);
    return mapping;
}

void mca_smsc_libcma_unmap_peer_region(void *ctx)
{
    mca_smsc_libcma_mapping_t *mapping = ctx;
    mca_smsc_libcma_endpoint_t *endpoint = mapping->endpoint;
    bool last;

    OPAL_THREAD_LOCK(&endpoint->lock);
    last = 0 == --mapping->users && !mapping->kept;
    OPAL_THREAD_UNLOCK(&endpoint->lock);
    if (last) {
        OBJ_RELEASE(mapping);
    }
}

/* Nothing is registered; these are for builds that call one component directly. */
void *mca_smsc_libcma_register_region(void *local_address, size_t size)
{
    (void) local_address;
    (void) size;
    return NULL;
}

void mca_smsc_libcma_deregister_region(void *reg_data)
{
    (void) reg_data;
}

mca_smsc_module_t mca_smsc_libcma_module = {
    .get_endpoint = mca_smsc_libcma_get_endpoint,
    .return_endpoint = mca_smsc_libcma_return_endpoint,
    .copy_to = mca_smsc_libcma_copy_to,
    .copy_from = mca_smsc_libcma_copy_from,
    .map_peer_region = mca_smsc_libcma_map_peer_region,
    .unmap_peer_region = mca_smsc_libcma_unmap_peer_region,
};
