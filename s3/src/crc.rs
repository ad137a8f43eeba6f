//! Combining CRCs: the CRC of two byte strings in a row from their own CRCs and the second one's length, so that an
//! object's whole checksum comes from its parts' without reading a byte. The method is zlib's `crc32_combine`
//! (Mark Adler): appending `n` zero bytes is a linear map over GF(2), applied by squaring matrices.

/// A reflected CRC with an all-ones start and final inversion (all three of S3's are).
#[derive(Clone, Copy)]
pub(crate) struct Polynomial {
    reflected: u64,
    width: usize,
}

/// CRC-32 (ISO-HDLC).
pub(crate) const CRC32: Polynomial = Polynomial { reflected: 0xEDB8_8320, width: 32 };
/// CRC-32C (iSCSI).
pub(crate) const CRC32C: Polynomial = Polynomial { reflected: 0x82F6_3B78, width: 32 };
/// CRC-64/NVME.
pub(crate) const CRC64NVME: Polynomial = Polynomial { reflected: 0x9A6C_9329_AC4B_C9B5, width: 64 };

type Matrix = [u64; 64];

fn times(matrix: &Matrix, mut vector: u64) -> u64 {
    let mut sum = 0;
    for row in matrix {
        if vector & 1 == 1 {
            sum ^= row;
        }
        vector >>= 1;
    }
    sum
}

fn square(matrix: &Matrix) -> Matrix {
    std::array::from_fn(|i| times(matrix, matrix[i]))
}

impl Polynomial {
    /// The CRC of A then B, from the CRC of each and the length of B in bytes.
    pub(crate) fn combine(self, first: u64, second: u64, len_of_second: u64) -> u64 {
        // One zero bit: shift right, and the polynomial for a bit that falls out.
        let mut operator: Matrix = [0; 64];
        operator[0] = self.reflected;
        for (i, row) in operator.iter_mut().enumerate().take(self.width).skip(1) {
            *row = 1 << (i - 1);
        }
        for _ in 0..3 {
            operator = square(&operator);
        }
        // Now one zero byte; by squaring, 2, 4, 8 … zero bytes.
        let mut crc = first;
        let mut len = len_of_second;
        while len > 0 {
            if len & 1 == 1 {
                crc = times(&operator, crc);
            }
            len >>= 1;
            if len > 0 {
                operator = square(&operator);
            }
        }
        crc ^ second
    }
}
