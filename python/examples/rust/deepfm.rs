//! DeepFM in Rust on fastfm's kernels: lookup, FM, their gradient and the rows' update are libfastfm's, the layers are
//! loops of this file. Trains on the folder that python/examples/curve.py writes and reproduces the losses in it:
//!
//!     rustc --edition 2021 -O deepfm.rs -L $(python -m fastfm_core --libdir) \
//!         -C link-arg=-Wl,-rpath,$(python -m fastfm_core --libdir)
//!     ./deepfm FOLDER [SCORER]     SCORER: a file of `model.scorer().save(path)`, which scores the first batch

use std::error::Error;
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};

const LR: f64 = 0.05;
const INITIAL: f32 = 0.1;
const EPS: f64 = 1e-10;
const TOLERANCE: f64 = 1e-5;

/// What is used of fastfm.h, which says what each of them means.
mod fastfm {
    use super::*;

    pub const ABI: i64 = 1;

    #[repr(C)]
    pub struct Matrix {
        pub data: *mut f32,
        pub rows: i64,
        pub columns: i64,
        pub stride: i64,
    }
    #[repr(C)]
    pub struct Entries {
        pub ids: *const c_void,
        pub id_bits: i64,
        pub count: i64,
        pub fields: i64,
        pub slots: i64,
        pub offsets: *const i64,
        pub values: *const f32,
        pub pooling: i64,
        pub unchecked: i64,
    }
    #[repr(C)]
    pub struct Plan {
        pub rows: *mut c_void,
        pub id_bits: i64,
        pub segments: *mut i64,
        pub order: *mut i32,
        pub count: i64,
        pub entries: i64,
        pub unchecked: i64,
    }
    #[repr(C)]
    pub struct Source {
        pub fields: i64,
        pub samples: i64,
        pub entry_slots: *const i32,
        pub coefficients: *const f32,
        pub pair_grad: *const f32,
        pub sums: *const f32,
        pub slot_values: *const f32,
        pub slot_grad: *const f32,
        pub sample_stride: i64,
        pub field_stride: i64,
        pub winners: *const i64,
        pub first_grad: *const f32,
    }
    #[repr(C)]
    pub struct Fm {
        pub first: *mut f32,
        pub pair: *mut f32,
        pub sums: *mut f32,
        pub deep: *mut f32,
        pub deep_stride: i64,
        pub winners: *mut i64,
        pub linear_winners: *mut i64,
    }
    pub enum Scorer {}

    #[link(name = "fastfm")]
    extern "C" {
        pub fn fastfm_abi() -> i64;
        pub fn fastfm_last_error() -> *const c_char;
        pub fn fastfm_set_threads(count: i64) -> c_int;
        pub fn fastfm_embedding_fm(
            table: *const Matrix,
            linear: *const Matrix,
            entries: *const Entries,
            dense: *const Matrix,
            out: *const Fm,
        ) -> c_int;
        pub fn fastfm_plan_rows(entries: *const Entries, table_rows: i64, plan: *mut Plan) -> c_int;
        pub fn fastfm_update_rows_adagrad_(
            table: *const Matrix,
            accumulator: *const Matrix,
            plan: *const Plan,
            source: *const Source,
            lr: f64,
            eps: f64,
            l2: f64,
            grad_scale: f64,
        ) -> c_int;
        pub fn fastfm_bce_with_logits(
            logits: *const f32,
            labels: *const f32,
            weights: *const f32,
            count: i64,
            loss: *mut f64,
            grad: *mut f32,
        ) -> c_int;
        pub fn fastfm_scorer_open(path: *const c_char, scorer: *mut *mut Scorer) -> c_int;
        pub fn fastfm_scorer_close(scorer: *mut Scorer);
        pub fn fastfm_scorer_score(
            scorer: *const Scorer,
            entries: *const Entries,
            numbers: *const f32,
            samples: i64,
            out: *mut f32,
        ) -> c_int;
    }

    /// A code as a Result; the error is the library's line.
    pub fn check(code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        Err(unsafe { CStr::from_ptr(fastfm_last_error()) }.to_string_lossy().into_owned())
    }

    /// One id a field, N = B * fields of them.
    pub fn single_ids(ids: &[i32], fields: usize) -> Entries {
        Entries {
            ids: ids.as_ptr().cast(),
            id_bits: 32,
            count: ids.len() as i64,
            fields: fields as i64,
            slots: 0,
            offsets: null(),
            values: null(),
            pooling: 0,
            unchecked: 0,
        }
    }

    /// Mean loss of logits, and its gradient by them.
    pub fn bce_with_logits(logits: &[f32], labels: &[f32], grad: &mut [f32]) -> Result<f64, String> {
        assert!(labels.len() >= logits.len() && grad.len() >= logits.len());
        let (count, mut loss) = (logits.len() as i64, 0.0);
        check(unsafe {
            fastfm_bce_with_logits(logits.as_ptr(), labels.as_ptr(), null(), count, &mut loss, grad.as_mut_ptr())
        })?;
        Ok(loss)
    }
}

use fastfm::check;

/// A file's numbers, of N bytes each.
fn read<T, const N: usize>(folder: &str, name: &str, parse: fn([u8; N]) -> T) -> Result<Vec<T>, Box<dyn Error>> {
    let path = format!("{}/{}.bin", folder, name);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {}", path, error))?;
    Ok(bytes.chunks_exact(N).map(|chunk| parse(chunk.try_into().unwrap())).collect())
}

/// A dense parameter with its gradient and Adagrad's state.
struct Parameter {
    value: Vec<f32>,
    gradient: Vec<f32>,
    summed: Vec<f32>,
}

impl Parameter {
    fn read(folder: &str, name: &str) -> Result<Parameter, Box<dyn Error>> {
        let value = read(folder, name, f32::from_le_bytes)?;
        let count = value.len();
        Ok(Parameter { value, gradient: vec![0.0; count], summed: vec![INITIAL; count] })
    }

    /// And the gradient is 0 again.
    fn adagrad(&mut self) {
        for ((value, gradient), summed) in self.value.iter_mut().zip(&mut self.gradient).zip(&mut self.summed) {
            *summed += *gradient * *gradient;
            *value -= LR as f32 * *gradient / (summed.sqrt() + EPS as f32);
            *gradient = 0.0;
        }
    }
}

/// hidden = relu(x W1 + b1) of a sample, and hidden . w2
fn layers(x: &[f32], weight1: &[f32], bias1: &[f32], weight2: &[f32], hidden: &mut [f32]) -> f32 {
    hidden.copy_from_slice(bias1);
    for (x, row) in x.iter().zip(weight1.chunks_exact(hidden.len())) {
        for (h, w) in hidden.iter_mut().zip(row) {
            *h += x * w;
        }
    }
    let mut sum = 0.0;
    for (h, w) in hidden.iter_mut().zip(weight2) {
        *h = h.max(0.0);
        sum += *h * w;
    }
    sum
}

fn run(folder: &str, scorer: Option<&str>) -> Result<bool, Box<dyn Error>> {
    if unsafe { fastfm::fastfm_abi() } != fastfm::ABI {
        return Err("libfastfm has another interface than this program was written for".into());
    }
    check(unsafe { fastfm::fastfm_set_threads(2) })?;
    let text = std::fs::read_to_string(format!("{}/sizes.txt", folder))?;
    let sizes: Vec<usize> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (steps, batch, fields, rows, dim, hidden) = (sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]);
    let (width, ids_of_batch) = (fields * dim, batch * fields);
    let ids = read(folder, "ids", i32::from_le_bytes)?;
    let labels = read(folder, "labels", f32::from_le_bytes)?;
    let expected = read(folder, "losses", f64::from_le_bytes)?;

    // The table's rows: dim numbers and, as one more, the first-order weight.
    let table = read(folder, "table", f32::from_le_bytes)?;
    let linear = read(folder, "linear", f32::from_le_bytes)?;
    let mut arena = Vec::with_capacity(rows * (dim + 1));
    for (vector, weight) in table.chunks_exact(dim).zip(&linear) {
        arena.extend_from_slice(vector);
        arena.push(*weight);
    }
    let mut summed = vec![INITIAL; arena.len()];
    let matrix = |data: *mut f32, columns: usize| fastfm::Matrix {
        data,
        rows: rows as i64,
        columns: columns as i64,
        stride: (dim + 1) as i64,
    };
    let data = arena.as_mut_ptr();
    let (vectors, whole) = (matrix(data, dim), matrix(data, dim + 1));
    let (first_order, state) = (matrix(unsafe { data.add(dim) }, 1), matrix(summed.as_mut_ptr(), dim + 1));

    let mut weight1 = Parameter::read(folder, "weight1")?;
    let mut bias1 = Parameter::read(folder, "bias1")?;
    let mut weight2 = Parameter::read(folder, "weight2")?;
    let (mut bias2, mut bias) = (Parameter::read(folder, "bias2")?, Parameter::read(folder, "bias")?);

    // Memory of a step, used again by the next one.
    let (mut first, mut pair, mut sums) = (vec![0f32; batch], vec![0f32; batch], vec![0f32; batch * dim]);
    let (mut deep, mut deep_grad) = (vec![0f32; batch * width], vec![0f32; batch * width]);
    let (mut logits, mut grad, mut inner) = (vec![0f32; batch], vec![0f32; batch], vec![0f32; batch * hidden]);
    let (mut planned, mut segments) = (vec![0i32; ids_of_batch], vec![0i64; ids_of_batch + 1]);
    let mut order = vec![0i32; ids_of_batch];

    let (mut losses, mut furthest) = (Vec::new(), 0f64);
    for step in 0..steps {
        let entries = fastfm::single_ids(&ids[step * ids_of_batch..(step + 1) * ids_of_batch], fields);
        let out = fastfm::Fm {
            first: first.as_mut_ptr(),
            pair: pair.as_mut_ptr(),
            sums: sums.as_mut_ptr(),
            deep: deep.as_mut_ptr(),
            deep_stride: 0,
            winners: null_mut(),
            linear_winners: null_mut(),
        };
        check(unsafe { fastfm::fastfm_embedding_fm(&vectors, &first_order, &entries, null(), &out) })?;
        for (b, h) in inner.chunks_exact_mut(hidden).enumerate() {
            let x = &deep[b * width..(b + 1) * width];
            logits[b] = layers(x, &weight1.value, &bias1.value, &weight2.value, h);
            logits[b] += bias.value[0] + bias2.value[0] + first[b] + pair[b];
        }
        let loss = fastfm::bce_with_logits(&logits, &labels[step * batch..], &mut grad)?;
        furthest = furthest.max((loss - expected[step]).abs() / expected[step]);
        losses.push(loss);

        deep_grad.fill(0.0);
        for (b, g) in grad.iter().enumerate() {
            bias.gradient[0] += g;
            bias2.gradient[0] += g;
            for j in 0..hidden {
                let h = inner[b * hidden + j];
                weight2.gradient[j] += g * h;
                let g = if h > 0.0 { g * weight2.value[j] } else { 0.0 };
                bias1.gradient[j] += g;
                for k in 0..width {
                    weight1.gradient[k * hidden + j] += deep[b * width + k] * g;
                    deep_grad[b * width + k] += weight1.value[k * hidden + j] * g;
                }
            }
        }
        let source = fastfm::Source {
            fields: fields as i64,
            samples: batch as i64,
            entry_slots: null(),
            coefficients: null(),
            pair_grad: grad.as_ptr(),
            sums: sums.as_ptr(),
            slot_values: null(),
            slot_grad: deep_grad.as_ptr(),
            sample_stride: width as i64,
            field_stride: dim as i64,
            winners: null(),
            first_grad: grad.as_ptr(),
        };
        let mut plan = fastfm::Plan {
            rows: planned.as_mut_ptr().cast(),
            id_bits: 32,
            segments: segments.as_mut_ptr(),
            order: order.as_mut_ptr(),
            count: 0,
            entries: 0,
            unchecked: 0,
        };
        check(unsafe { fastfm::fastfm_plan_rows(&entries, rows as i64, &mut plan) })?;
        check(unsafe { fastfm::fastfm_update_rows_adagrad_(&whole, &state, &plan, &source, LR, EPS, 0.0, 1.0) })?;
        for parameter in [&mut weight1, &mut bias1, &mut weight2, &mut bias2, &mut bias] {
            parameter.adagrad();
        }
    }
    let (start, end) = (losses[0], losses[steps - 1]);
    println!("loss {:.6} -> {:.6}; furthest from the library's: {:.1e} (allowed {})", start, end, furthest, TOLERANCE);

    if let Some(path) = scorer {
        let (path, mut opened) = (CString::new(path)?, null_mut());
        check(unsafe { fastfm::fastfm_scorer_open(path.as_ptr(), &mut opened) })?;
        let entries = fastfm::single_ids(&ids[..ids_of_batch], fields);
        let code = unsafe { fastfm::fastfm_scorer_score(opened, &entries, null(), batch as i64, logits.as_mut_ptr()) };
        unsafe { fastfm::fastfm_scorer_close(opened) };
        check(code)?;
        let loss = fastfm::bce_with_logits(&logits, &labels, &mut grad)?;
        println!("the scorer's loss of the first batch: {:.6}", loss);
    }
    Ok(furthest <= TOLERANCE)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() < 2 {
        eprintln!("usage: deepfm FOLDER [SCORER]");
        std::process::exit(2);
    }
    match run(&arguments[1], arguments.get(2).map(String::as_str)) {
        Ok(close) => std::process::exit(i32::from(!close)),
        Err(error) => {
            eprintln!("deepfm: {}", error);
            std::process::exit(2);
        }
    }
}
