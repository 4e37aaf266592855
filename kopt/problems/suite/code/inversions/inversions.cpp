// Reads `length seed modulus`, makes that many numbers, and prints how many pairs i < j have a[i] > a[j].
#include <cstdint>
#include <iostream>
#include <vector>

static std::vector<uint32_t> sequence(uint64_t length, uint64_t seed, uint64_t modulus) {
  std::vector<uint32_t> values;
  for (uint64_t i = 0; i < length; ++i) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    values.push_back(static_cast<uint32_t>((seed >> 33) % modulus));
  }
  return values;
}

// EVOLVE-BLOCK-START
static uint64_t inversions(const std::vector<uint32_t>& values) {
  uint64_t count = 0;
  for (size_t i = 0; i < values.size(); ++i)
    for (size_t j = i + 1; j < values.size(); ++j)
      if (values[i] > values[j]) ++count;
  return count;
}
// EVOLVE-BLOCK-END

int main() {
  uint64_t length, seed, modulus;
  while (std::cin >> length >> seed >> modulus) std::cout << inversions(sequence(length, seed, modulus)) << "\n";
}
