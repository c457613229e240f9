/* The network of `net.py` for one text, word by word, in whole numbers: the same logits, bit for bit.

   numpy needs some thirty calls for a word and reads four bytes for each weight. A trace grows by one word at a
   time, so this is most of what the detector costs; here the weights of a network stay in the processor's cache.

   Weights and vectors are 8-bit numbers, activations 0 to 255; sums are exact in 32 bits. Plain C without any
   header of Python: `kernel.py` loads it, where it was compiled, and numpy computes the same where it was not. */

#include <stdint.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

/* Where the loader can choose by processor, it does; elsewhere what every processor of the kind has is taken. */
#if defined(__x86_64__) && defined(__GLIBC__) && (defined(__GNUC__) && (!defined(__clang__) || __clang_major__ >= 14))
#define EACH __attribute__((target_clones("avx2", "default")))
#else
#define EACH
#endif

typedef struct {
    int32_t embedding, width, back, look, layers;
    const int32_t *gaps;        /* [layers] */
    const int8_t *input;        /* [width, (back + 1 + look) * embedding] */
    const int32_t *input_bias;  /* [looks, width] */
    const int8_t *layer;        /* [layers, width, 3 * width] */
    const int32_t *layer_bias;  /* [layers, width] */
    const int16_t *output;      /* [width] */
    int32_t output_bias;
    int16_t *seen, *said;       /* room for four words: what a layer sees of each, what it says */
    int32_t *sums;              /* [4, width] */
    int16_t *guessed;           /* room for the rows of one text */
} Network;

/* What must change with anything above, so that no other build is ever called. */
PUBLIC int32_t tessy_boundary_version(void) { return 1; }

/* A matrix of `rows` times the vectors of one to four words, each of `columns`, into `sums`.

   A loop for each number: most calls are for a word and the one or two behind it that are guessed. */
EACH static void multiply(const int8_t *matrix, const int16_t *vectors, int32_t words, int32_t rows,
                          int32_t columns, int32_t *sums)
{
    const int16_t *a = vectors, *b = a + columns, *c = b + columns, *d = c + columns;
    for (int32_t row = 0; row < rows; row++, matrix += columns, sums++) {
        int32_t first = 0, second = 0, third = 0, fourth = 0;
        if (words == 1) {
            for (int32_t i = 0; i < columns; i++) first += (int32_t)(int16_t)matrix[i] * a[i];
            sums[0] = first;
            continue;
        }
        if (words == 2) {
            for (int32_t i = 0; i < columns; i++) {
                const int32_t weight = (int16_t)matrix[i];
                first += weight * a[i];
                second += weight * b[i];
            }
            sums[0] = first;
            sums[rows] = second;
            continue;
        }
        if (words == 3) {
            for (int32_t i = 0; i < columns; i++) {
                const int32_t weight = (int16_t)matrix[i];
                first += weight * a[i];
                second += weight * b[i];
                third += weight * c[i];
            }
            sums[0] = first;
            sums[rows] = second;
            sums[2 * rows] = third;
            continue;
        }
        for (int32_t i = 0; i < columns; i++) {
            const int32_t weight = (int16_t)matrix[i];
            first += weight * a[i];
            second += weight * b[i];
            third += weight * c[i];
            fourth += weight * d[i];
        }
        sums[0] = first;
        sums[rows] = second;
        sums[2 * rows] = third;
        sums[3 * rows] = fourth;
    }
}

/* Divided by what a weight of 1 is, to the nearest (the even one of two), and not negative. */
static int32_t activated(int32_t sum)
{
    int32_t whole = (sum + 127 + ((sum >> 8) & 1)) >> 8;
    return whole < 0 ? 0 : whole;
}

static int16_t limited(int32_t value) { return value > 255 ? 255 : value; }

/* The oldest of `kept` rows makes room for a new one. */
static void shift(int16_t *rows, int32_t kept, int32_t size, const int16_t *row)
{
    if (kept) {
        memmove(rows, rows + size, (size_t)(kept - 1) * size * sizeof *rows);
        memcpy(rows + (kept - 1) * size, row, size * sizeof *rows);
    }
}

/* Where the rows stand that a word of a text sees: `keep` words are the text's own, the others guessed. */
static int16_t *rows_for(int32_t word, int32_t keep, int16_t *own, int16_t *guessed, int32_t size)
{
    if (word == keep) memcpy(guessed, own, size * sizeof *own);
    return word < keep ? own : guessed;
}

/* Go on with a text whose rows are `state`, by `words` words of which the first `keep` are its own.

   `numbers` are rows of `table`, for each word its own and those of the `look` words right of it; `looks` which
   bias each word takes. One logit for each word, times 32 * 64. */
PUBLIC void tessy_boundary_go_on(const Network *net, int16_t *state, const int8_t *table, const int32_t *numbers,
                                 const int32_t *looks, int32_t words, int32_t keep, int32_t *logits)
{
    const int32_t e = net->embedding, d = net->width, taps = net->back + 1 + net->look, wide = taps * e;

    for (int32_t count; words; words -= count, keep -= count, looks += count, logits += count) {
        count = words < 4 ? words : 4;
        int16_t *own = state, *guessed = net->guessed;
        int32_t size = net->back * e;
        for (int32_t word = 0; word < count; word++, numbers += 1 + net->look) {
            int16_t *rows = rows_for(word, keep, own, guessed, size), *seen = net->seen + word * wide;
            memcpy(seen, rows, size * sizeof *seen);
            for (int32_t i = 0; i <= net->look; i++) {
                const int8_t *vector = table + (int64_t)numbers[i] * e;
                int16_t *at = seen + (net->back + i) * e;
                for (int32_t j = 0; j < e; j++) at[j] = vector[j];
            }
            shift(rows, net->back, e, seen + net->back * e);
        }
        multiply(net->input, net->seen, count, d, wide, net->sums);
        for (int32_t word = 0; word < count; word++) {
            const int32_t *bias = net->input_bias + looks[word] * d, *sums = net->sums + word * d;
            int16_t *h = net->said + word * d;
            for (int32_t i = 0; i < d; i++) h[i] = limited(activated(sums[i] + bias[i]));
        }

        for (int32_t layer = 0; layer < net->layers; layer++) {
            const int32_t gap = net->gaps[layer], *bias = net->layer_bias + layer * d;
            own += size, guessed += size, size = 2 * gap * d;
            for (int32_t word = 0; word < count; word++) {
                int16_t *rows = rows_for(word, keep, own, guessed, size), *seen = net->seen + word * 3 * d;
                const int16_t *h = net->said + word * d;
                memcpy(seen, rows, d * sizeof *seen);
                memcpy(seen + d, rows + gap * d, d * sizeof *seen);
                memcpy(seen + 2 * d, h, d * sizeof *seen);
                shift(rows, 2 * gap, d, h);
            }
            multiply(net->layer + (int64_t)layer * 3 * d * d, net->seen, count, d, 3 * d, net->sums);
            for (int32_t word = 0; word < count; word++) {
                const int32_t *sums = net->sums + word * d;
                int16_t *h = net->said + word * d;
                for (int32_t i = 0; i < d; i++) h[i] = limited(h[i] + activated(sums[i] + bias[i]));
            }
        }

        for (int32_t word = 0; word < count; word++) {
            const int16_t *h = net->said + word * d;
            int32_t total = net->output_bias;
            for (int32_t i = 0; i < d; i++) total += (int32_t)h[i] * net->output[i];
            logits[word] = total;
        }
    }
}
