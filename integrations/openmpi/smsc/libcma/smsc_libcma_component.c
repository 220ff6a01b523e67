/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file
 *
 * Whether the component can be used, and with what: query() opens /dev/cma, makes this process's
 * window and sends its name. All of it ends when the component is closed.
 */
#include "opal_config.h"

#include "opal/mca/pmix/pmix-internal.h"
#include "opal/mca/smsc/base/base.h"
#include "opal/mca/smsc/libcma/smsc_libcma.h"
#include "opal/util/show_help.h"

#include <errno.h>
#include <stdint.h>

static int mca_smsc_libcma_component_register(void);
static int mca_smsc_libcma_component_open(void);
static int mca_smsc_libcma_component_close(void);
static int mca_smsc_libcma_component_query(void);
static mca_smsc_module_t *mca_smsc_libcma_component_enable(void);

/* Above the components that need ptrace permission (cma) or a kernel module of their own (knem,
 * xpmem): whoever loads cma's module wants it used. */
#define MCA_SMSC_LIBCMA_DEFAULT_PRIORITY 60

mca_smsc_libcma_component_t mca_smsc_libcma_component = {
    .super = {
        .smsc_version = {
            MCA_SMSC_DEFAULT_VERSION("libcma"),
            .mca_open_component = mca_smsc_libcma_component_open,
            .mca_close_component = mca_smsc_libcma_component_close,
            .mca_register_component_params = mca_smsc_libcma_component_register,
        },
        .priority = MCA_SMSC_LIBCMA_DEFAULT_PRIORITY,
        .query = mca_smsc_libcma_component_query,
        .enable = mca_smsc_libcma_component_enable,
    },
};

static void register_unsigned(const char *name, const char *help, unsigned int *value)
{
    (void) mca_base_component_var_register(&mca_smsc_libcma_component.super.smsc_version, name, help,
                                           MCA_BASE_VAR_TYPE_UNSIGNED_INT, NULL, 0,
                                           MCA_BASE_VAR_FLAG_SETTABLE, OPAL_INFO_LVL_5,
                                           MCA_BASE_VAR_SCOPE_LOCAL, value);
}

static int mca_smsc_libcma_component_register(void)
{
    mca_smsc_libcma_component_t *component = &mca_smsc_libcma_component;

    mca_smsc_base_register_default_params(&component->super, MCA_SMSC_LIBCMA_DEFAULT_PRIORITY);

    component->window_mode = 0600;
    register_unsigned("window_mode",
                      "Who may read and write the memory of this process, as in a file's mode; a "
                      "number, such as 0600 (default: this user alone) or 0660 (its group, too)",
                      &component->window_mode);
    component->max_mappings = 64;
    register_unsigned("max_mappings",
                      "Mappings of a peer's memory that are kept for later, for each peer "
                      "(default: 64; 0: none)",
                      &component->max_mappings);
    component->log_align = 21;
    register_unsigned("log_align",
                      "A mapping of a peer's memory begins and ends at multiples of 2 to the power "
                      "of this (default: 21, which is 2 MiB; at most 30)",
                      &component->log_align);
    return OPAL_SUCCESS;
}

static int mca_smsc_libcma_component_open(void)
{
    return OPAL_SUCCESS;
}

static int mca_smsc_libcma_component_close(void)
{
    cma_close(mca_smsc_libcma_component.context);
    mca_smsc_libcma_component.context = NULL;
    return OPAL_SUCCESS;
}

/* Where there is no device, that is how most systems are; else somebody meant it to work. */
static int cannot(int error, enum cma_call call)
{
    mca_smsc_libcma_component_t *component = &mca_smsc_libcma_component;
    const struct cma_peer nobody = {0};
    char why[512];

    (void) cma_explain_call(component->context, call, nobody, error, why, sizeof(why));
    if (-ENOENT == error) {
        opal_output_verbose(MCA_BASE_VERBOSE_COMPONENT, opal_smsc_base_framework.framework_output,
                            "smsc/libcma: %s", why);
    } else {
        opal_show_help("help-smsc-libcma.txt", "cannot be used", true, opal_process_info.nodename,
                       why);
    }
    (void) mca_smsc_libcma_component_close();
    component->super.priority = -1;
    return OPAL_ERR_NOT_AVAILABLE;
}

static int mca_smsc_libcma_component_query(void)
{
    mca_smsc_libcma_component_t *component = &mca_smsc_libcma_component;
    struct cma_limits limits = {.size = sizeof(limits)};
    mca_smsc_libcma_modex_t modex;
    int rc;

    if (0 > component->super.priority) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (component->log_align > 30) {
        component->log_align = 30;
    }

    rc = cma_open(&component->context, CMA_OPEN_DEVICE);
    if (0 > rc) {
        return cannot(rc, CMA_CALL_OPEN);
    }
    rc = cma_query(component->context, &limits);
    if (0 > rc) {
        return cannot(rc, CMA_CALL_QUERY);
    }
    component->can_map = !!(limits.features & CMA_CAN_MAP);
    rc = cma_window_create(component->context, NULL, INTPTR_MAX, CMA_ACCESS_READ | CMA_ACCESS_WRITE,
                           component->window_mode, &modex.window);
    if (0 > rc) {
        return cannot(rc, CMA_CALL_WINDOW_CREATE);
    }

    OPAL_MODEX_SEND(rc, PMIX_LOCAL, &component->super.smsc_version, &modex, sizeof(modex));
    return rc;
}

static mca_smsc_module_t *mca_smsc_libcma_component_enable(void)
{
    if (0 > mca_smsc_libcma_component.super.priority) {
        return NULL;
    }
    if (mca_smsc_libcma_component.can_map) {
        mca_smsc_libcma_module.features |= MCA_SMSC_FEATURE_CAN_MAP;
    }
    return &mca_smsc_libcma_module;
}
