#include "rows.h"

double mean_of(Row<float> row) {
  double sum = 0;
  for (int64_t c = 0; c < row.size; ++c) sum += row.data[c];
  return sum / static_cast<double>(row.size);
}
