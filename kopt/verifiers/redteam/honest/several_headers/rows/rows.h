#pragma once
#include <algorithm>
#include <cstdint>

template <typename T>
struct Row {
  const T* data;
  int64_t size;
  int64_t first_largest() const { return std::max_element(data, data + size) - data; }
};

double mean_of(Row<float> row);
