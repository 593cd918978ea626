/*
 * page.h - the two documents that never change: the status page and the API's description.
 */
#ifndef XF_ADMIN_PAGE_H
#define XF_ADMIN_PAGE_H

/* Holds no data: it asks the API for it, with the token that its user gives. */
extern const char xf_page_html[];

/* OpenAPI 3.1. */
extern const char xf_page_openapi[];

/* What the page may do: run its own script, ask its own server. */
extern const char xf_page_policy[];

#endif
