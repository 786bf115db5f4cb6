export async function rack() {
  return [];
}
