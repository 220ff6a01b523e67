# -*- shell-script -*-
#
# SPDX-License-Identifier: MIT OR BSD-2-Clause
#

# MCA_opal_smsc_libcma_CONFIG([action-if-can-compile],
#                             [action-if-cant-compile])
# ------------------------------------------------
AC_DEFUN([MCA_opal_smsc_libcma_CONFIG],[
    OPAL_VAR_SCOPE_PUSH([smsc_libcma_happy])

    AC_CONFIG_FILES([opal/mca/smsc/libcma/Makefile])

    AC_ARG_WITH([libcma],
                [AS_HELP_STRING([--with-libcma(=DIR)],
                                [Build support for /dev/cma, where libcma is in DIR (default: the compiler's directories)])])

    OAC_CHECK_PACKAGE([libcma],
                      [smsc_libcma],
                      [cma.h],
                      [cma],
                      [cma_window_open],
                      [smsc_libcma_happy="yes"],
                      [smsc_libcma_happy="no"])

    AS_IF([test "$smsc_libcma_happy" = "no" && test -n "$with_libcma" && test "$with_libcma" != "no"],
          [AC_MSG_WARN([libcma was asked for, and was not found])
           AC_MSG_ERROR([Cannot continue])])
    AS_IF([test "$smsc_libcma_happy" = "yes"], [$1], [$2])

    AC_SUBST([smsc_libcma_CPPFLAGS])
    AC_SUBST([smsc_libcma_LDFLAGS])
    AC_SUBST([smsc_libcma_LIBS])

    OPAL_VAR_SCOPE_POP
])dnl
