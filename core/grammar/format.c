/* format.c - the formats of JSON Schema that are enforced, as regular expressions (RFC 3339, 5321, 1123, 4122, 3986, 6901, ISO 8601). */
#include <string.h>

#include "schema.h"

/* Days that exist: 31, 30, 28, and the 29th of February in leap years. */
#define DATE                                                                                                           \
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]"  \
    "|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define OFFSET "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define TIME "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?" OFFSET "|23:59:60(?:\\.[0-9]+)?[Zz])"
#define BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4 BYTE "\\." BYTE "\\." BYTE "\\." BYTE
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                                           \
    "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32 "|(?:(?:" H16            \
    ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 "|(?:(?:" H16 ":){0,2}" H16 ")?::(?:" H16 ":){2}" LS32 "|(?:(?:" H16      \
    ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16 ":){0,4}" H16 ")?::" LS32 "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16   \
    "|(?:(?:" H16 ":){0,6}" H16 ")?::)"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST LABEL "(?:\\." LABEL ")*"
#define PCT "%[0-9A-Fa-f]{2}"
#define UNRESERVED "A-Za-z0-9._~\\-"
#define SUB "!$&'()*+,;="
#define PCHAR "(?:[" UNRESERVED SUB ":@]|" PCT ")"
#define QUERY "(?:\\?(?:[" UNRESERVED SUB ":@/?]|" PCT ")*)?"
#define FRAGMENT "(?:#(?:[" UNRESERVED SUB ":@/?]|" PCT ")*)?"
#define AUTHORITY                                                                                                      \
    "(?:(?:[" UNRESERVED SUB ":]|" PCT ")*@)?(?:\\[(?:" IPV6 "|[vV][0-9A-Fa-f]+\\.[" UNRESERVED SUB                    \
    ":]+)\\]|(?:[" UNRESERVED SUB "]|" PCT ")*)(?::[0-9]*)?"
#define ABEMPTY "(?:/" PCHAR "*)*"
#define HIER "(?://" AUTHORITY ABEMPTY "|/(?:" PCHAR "+" ABEMPTY ")?|" PCHAR "+" ABEMPTY "|)"
#define SCHEME "[A-Za-z][A-Za-z0-9+.-]*:"
#define NOSCHEME "(?:(?:[" UNRESERVED SUB "@]|" PCT ")+" ABEMPTY ")"
#define RELATIVE "(?://" AUTHORITY ABEMPTY "|/(?:" PCHAR "+" ABEMPTY ")?|" NOSCHEME "|)"
#define DURATION_TIME "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
#define DURATION                                                                                                       \
    "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:" DURATION_TIME ")?|" DURATION_TIME \
    ")"
#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define EMAIL                                                                                                          \
    "(?:" ATEXT "+(?:\\." ATEXT "+)*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:" HOST "|\\[(?:" IPV4 "|IPv6:" IPV6 ")\\])"
#define NOT_IRI_BARE "\\u0000-\\u0020\"'<>\\\\^`|"
#define NOT_IRI NOT_IRI_BARE "{}"
#define IRI_REST "[^" NOT_IRI "]*"
#define VARNAME "(?:[A-Za-z0-9_]|" PCT ")(?:\\.?(?:[A-Za-z0-9_]|" PCT "))*"
#define VARSPEC VARNAME "(?:\\*|:[1-9][0-9]{0,3})?"
#define POINTER "(?:/(?:[^~/]|~[01])*)*"

const char *mllm_format_pattern(const char *name) {
    static const struct {
        const char *name, *pattern;
    } formats[] = {
        {"date", DATE},
        {"time", TIME},
        {"date-time", DATE "[Tt]" TIME},
        {"duration", DURATION},
        {"email", EMAIL},
        {"hostname", HOST},
        {"ipv4", IPV4},
        {"ipv6", IPV6},
        {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
        {"uri", SCHEME HIER QUERY FRAGMENT},
        {"uri-reference", "(?:" SCHEME HIER QUERY FRAGMENT "|" RELATIVE QUERY FRAGMENT ")"},
        {"iri", SCHEME IRI_REST},
        {"iri-reference", "(?:" SCHEME IRI_REST "|(?:[^:/?#" NOT_IRI "]*(?:[/?#]" IRI_REST ")?))"},
        {"uri-template", "(?:[^{}" NOT_IRI_BARE "]|\\{[+#./;?&=,!@|]?" VARSPEC "(?:," VARSPEC ")*\\})*"},
        {"json-pointer", POINTER},
        {"relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|" POINTER ")"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0) return formats[i].pattern;
    return NULL;
}
