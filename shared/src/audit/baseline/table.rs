//! Rows by name and by number.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    mem,
    ops::{Index, IndexMut},
    sync::Arc,
};

/// Rows that have a name each, and, for as long as none is taken out, a number.
#[derive(Debug)]
pub(in crate::audit) struct Table<K: ?Sized, V> {
    numbers: HashMap<Arc<K>, u32>,
    rows: Vec<(Arc<K>, V)>,
}

impl<K: ?Sized, V: Clone> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { numbers: self.numbers.clone(), rows: self.rows.clone() }
    }
}

impl<K: ?Sized, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), rows: Vec::new() }
    }
}

impl<K: ?Sized + Eq + Hash, V> Table<K, V> {
    pub(in crate::audit) fn find<Q: ?Sized + Eq + Hash>(&self, name: &Q) -> Option<u32>
    where
        Arc<K>: Borrow<Q>,
    {
        self.numbers.get(name).copied()
    }

    /// Puts a row in, of a name that has none.
    pub(in crate::audit) fn insert(&mut self, name: Arc<K>, row: V) -> u32 {
        // There are far fewer than 2^32.
        let number = self.rows.len() as u32;
        self.numbers.insert(Arc::clone(&name), number);
        self.rows.push((name, row));
        number
    }

    /// Takes rows out. Returns the new number of each old one.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) -> Vec<Option<u32>> {
        self.numbers.clear();
        let rows = mem::take(&mut self.rows);
        let renumbered = rows.into_iter().map(|(name, row)| keep(&row).then(|| self.insert(name, row)));
        renumbered.collect()
    }

    pub(in crate::audit) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(in crate::audit) fn name(&self, number: u32) -> &K {
        &self.rows[number as usize].0
    }

    pub(in crate::audit) fn rows(&self) -> impl Iterator<Item = (&Arc<K>, &V)> {
        self.rows.iter().map(|(name, row)| (name, row))
    }

    pub(in crate::audit) fn rows_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.rows.iter_mut().map(|(name, row)| (&**name, row))
    }
}

impl<K: ?Sized, V> Index<u32> for Table<K, V> {
    type Output = V;

    fn index(&self, number: u32) -> &V {
        &self.rows[number as usize].1
    }
}

impl<K: ?Sized, V> IndexMut<u32> for Table<K, V> {
    fn index_mut(&mut self, number: u32) -> &mut V {
        &mut self.rows[number as usize].1
    }
}
