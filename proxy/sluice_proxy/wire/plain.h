/* What plain.py says, to the last bit: see there for what it means and why.
 *
 * Lengths are unsigned here: a negative one is longer than any read. Nothing is looked at beyond
 * the bytes that are there.
 */

#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, QUERY = 0, BOUND = 2 };

static const char describe_portal[] = {'D', 0, 0, 0, 6, 'P', 0};
static const char execute_head[] = {'E', 0, 0, 0, 9, 0};
enum { EXECUTE_LENGTH = 10 };
static const char sync_message[] = {'S', 0, 0, 0, 4};
static const char parsed_and_bound[] = {'1', 0, 0, 0, 4, '2', 0, 0, 0, 4};
enum { PARSED_LENGTH = 5 };

typedef struct {
    const unsigned char *at; /* the first byte */
    int64_t size;
} Bytes;

static inline Bytes bytes_of(PyObject *object)
{
    return (Bytes){(const unsigned char *)PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object)};
}

static inline int64_t length_at(Bytes data, int64_t at)
{
    const unsigned char *four = data.at + at;
    return (int64_t)((uint32_t)four[0] << 24 | (uint32_t)four[1] << 16
                     | (uint32_t)four[2] << 8 | four[3]);
}

static inline int begins(Bytes data, int64_t at, const char *with, size_t size)
{
    return at + (int64_t)size <= data.size && memcmp(data.at + at, with, size) == 0;
}

#define BEGINS(data, at, with) begins(data, at, with, sizeof with)

/* Where the first zero byte is, from `at` on and before `end`; -1 if there is none. */
static inline int64_t zero_at(Bytes data, int64_t at, int64_t end)
{
    const unsigned char *found = at < end ? memchr(data.at + at, 0, (size_t)(end - at)) : NULL;
    return found == NULL ? -1 : found - data.at;
}

/* Of a Parse of the unnamed statement that ends there. */
static inline int replaces_unnamed(Bytes data, int64_t end)
{
    int64_t types = zero_at(data, 6, end) + 1;
    if (types <= 0 || types > end - 2)
        return 0;
    return end - 2 - types == 4 * (data.at[types] << 8 | data.at[types + 1]);
}

/* Of what follows a Bind, up to the end. */
static inline int described_at(Bytes data, int64_t at)
{
    int described = BEGINS(data, at, describe_portal);
    if (described)
        at += sizeof describe_portal;
    if (!BEGINS(data, at, execute_head) || !BEGINS(data, at + EXECUTE_LENGTH, sync_message)
        || at + EXECUTE_LENGTH + (int64_t)sizeof sync_message != data.size)
        return -1;
    return described;
}

static inline int64_t plan_of_bound(Bytes data)
{
    int64_t end = 1 + length_at(data, 1), name_end = zero_at(data, 6, data.size);
    int described;
    if (data.at[5] || name_end <= 6 || name_end >= end)
        return NONE;
    described = described_at(data, end);
    return described < 0 ? NONE : BOUND | described;
}

static inline int64_t plan_of_pipeline(Bytes data)
{
    int64_t end = 1 + length_at(data, 1), at = end;
    int described;
    if (data.at[5] || at < 6 || at + 7 > data.size || data.at[at] != 'B' || data.at[at + 5]
        || data.at[at + 6])
        return NONE;
    if (length_at(data, at + 1) < 6)
        return NONE;
    described = described_at(data, at + 1 + length_at(data, at + 1));
    return described >= 0 && replaces_unnamed(data, end) ? end << 1 | described : NONE;
}

static inline int64_t plan_of_bytes(Bytes data)
{
    if (data.size < 7)
        return NONE;
    if (data.at[0] == 'P')
        return plan_of_pipeline(data);
    if (data.at[0] == 'B')
        return plan_of_bound(data);
    if (data.at[0] != 'Q' || length_at(data, 1) != data.size - 1)
        return NONE;
    return zero_at(data, 5, data.size) == data.size - 1 ? QUERY : NONE;
}

static inline int is_bound(int64_t plan)
{
    return plan >> 1 == 1;
}

static inline int64_t length_of_head(Bytes data, int64_t plan)
{
    int64_t skipped = is_bound(plan) ? PARSED_LENGTH : 0;
    int64_t at = sizeof parsed_and_bound - skipped;
    if (data.size < at + 5 || !begins(data, 0, parsed_and_bound + skipped, at))
        return data.size;
    if (!(plan & 1))
        return at;
    if ((data.at[at] != 'T' && data.at[at] != 'n') || length_at(data, at + 1) < 4)
        return data.size;
    return at + 1 + length_at(data, at + 1);
}

static inline int is_completion(unsigned char kind)
{
    return kind == 'C' || kind == 'I';
}

static inline int is_plain(Bytes data, int64_t at, int64_t plan)
{
    static const char harmless[] = {'D', 'E', 'L', 'E', 'T', 'E'};
    unsigned char kind = data.at[at];
    if (is_completion(kind))
        return data.at[at + 5] != 'D' || BEGINS(data, at + 5, harmless);
    return kind == 'D' || (kind == 'T' && plan == QUERY);
}

static inline int status_of_bytes(Bytes data, int64_t plan)
{
    int64_t at = plan ? length_of_head(data, plan) : 0, length;
    int completed = 0;
    for (; at + 6 <= data.size; at += 1 + length) {
        length = length_at(data, at + 1);
        if (data.at[at] == 'Z')
            return completed && length == 5 && at + 6 == data.size ? data.at[at + 5] : 0;
        if (length < 4 || (completed && plan) || !is_plain(data, at, plan))
            return 0;
        completed = completed || is_completion(data.at[at]);
    }
    return 0;
}

static inline int is_digit(unsigned char one)
{
    return one >= '0' && one <= '9';
}

/* Without its digits; `to` has room for all of it. */
static inline Py_ssize_t copy_shape(char *to, Bytes data, int64_t at, int64_t end)
{
    char *next = to;
    for (; at < end; at++) {
        *next = (char)data.at[at];
        next += !is_digit(data.at[at]);
    }
    return next - to;
}

static inline PyObject *no_plain_request(void)
{
    PyErr_SetString(PyExc_ValueError, "no plain request");
    return NULL;
}

/* Where the text is; its end is before its begin where there is none. */
static inline int64_t text_begin(int64_t plan)
{
    return plan ? 6 : 5;
}

static inline int64_t text_end(Bytes data, int64_t plan)
{
    return plan ? zero_at(data, 6, data.size) : data.size - 1;
}

static inline PyObject *shape_of_bytes(Bytes data, int64_t plan)
{
    /* A read is no longer: a plain request is all that came in one. */
    static char room[16384];
    int64_t begin = text_begin(plan), end = text_end(data, plan);
    if (end < begin || end - begin > (int64_t)sizeof room)
        return no_plain_request();
    return PyBytes_FromStringAndSize(room, copy_shape(room, data, begin, end));
}

/* FNV-1a, of all but the digits. Others may have it, too: the text itself decides. */
static inline uint32_t hash_of_shape(const unsigned char *at, const unsigned char *end)
{
    uint32_t hash = 2166136261u;
    for (; at < end; at++)
        if (!is_digit(*at))
            hash = (hash ^ *at) * 16777619u;
    return hash;
}

/* Shapes that leave nothing behind: one in each place, and a later one takes it. */
typedef struct {
    uint32_t hash;
    int64_t size;
    unsigned char *text; /* NULL: none is here */
} Shape;
enum { KNOWN = 512, KNOWN_LENGTH = 1000 };

static inline Shape *place_of(uint32_t hash)
{
    static Shape known[KNOWN];
    return &known[(hash >> 16 ^ hash) % KNOWN];
}

static inline void know_shape(Bytes shape)
{
    uint32_t hash = hash_of_shape(shape.at, shape.at + shape.size);
    Shape *place = place_of(hash);
    unsigned char *text = shape.size <= KNOWN_LENGTH ? malloc((size_t)shape.size + 1) : NULL;
    if (text == NULL)
        return;
    memcpy(text, shape.at, (size_t)shape.size);
    free(place->text);
    *place = (Shape){hash, shape.size, text};
}

/* Whether it is that very text, but for digits. */
static inline int has_shape(const unsigned char *at, const unsigned char *end, const Shape *shape)
{
    const unsigned char *next = shape->text, *last = next + shape->size;
    for (; at < end; at++)
        if (!is_digit(*at) && (next == last || *next++ != *at))
            return 0;
    return next == last;
}

static inline int is_known_text(Bytes data, int64_t plan)
{
    int64_t begin = text_begin(plan), end = text_end(data, plan);
    uint32_t hash;
    const Shape *place;
    if (end < begin)
        return 0;
    hash = hash_of_shape(data.at + begin, data.at + end);
    place = place_of(hash);
    return place->text != NULL && place->hash == hash
           && has_shape(data.at + begin, data.at + end, place);
}

/* That is a request which begins with the Bind of a named statement? Where its name ends. */
static inline int64_t name_end_of(Bytes data)
{
    return data.size > 6 ? zero_at(data, 6, data.size) : -1;
}

static inline PyObject *name_of_bytes(Bytes data)
{
    int64_t end = name_end_of(data);
    if (end < 0)
        return no_plain_request();
    return PyBytes_FromStringAndSize((const char *)data.at + 6, end - 6);
}

static inline PyObject *renamed_bytes(Bytes data, Bytes name)
{
    int64_t end = name_end_of(data), length;
    PyObject *made = end < 0 ? no_plain_request()
                             : PyBytes_FromStringAndSize(NULL, 6 + name.size + data.size - end);
    unsigned char *to;
    if (made == NULL)
        return NULL;
    to = (unsigned char *)PyBytes_AS_STRING(made);
    length = length_at(data, 1) + name.size - (end - 6);
    to[0] = 'B';
    for (int at = 0; at < 4; at++)
        to[1 + at] = (unsigned char)(length >> (24 - 8 * at));
    to[5] = 0;
    memcpy(to + 6, name.at, (size_t)name.size);
    memcpy(to + 6 + name.size, data.at + end, (size_t)(data.size - end));
    return made;
}
