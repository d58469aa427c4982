//! People changed in the browser by administrators.

use super::walk::Walk;

const FILE: &str = "Number,First name,Last name,Contract,Department,Job title,Location,Start date
I-2,Ines,Imp,employee,Finance,Clerk,Kiel,2020-01-01
";

pub async fn file(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    for discard in [true, false] {
        let begun = walk.did("POST /people/import", admin.post("/people/import", &[("pasted", FILE)])).await;
        let page = begun.location().to_owned();
        if discard {
            walk.did("POST /people/import/{id}/discard", admin.post(&format!("{page}/discard"), &[])).await;
            continue;
        }
        let columns = [
            ("employee_number", "0"),
            ("given_name", "1"),
            ("family_name", "2"),
            ("type", "3"),
            ("department", "4"),
            ("title", "5"),
            ("site", "6"),
            ("first_day", "7"),
        ];
        walk.did("POST /people/import/{id}/columns", admin.post(&format!("{page}/columns"), &columns)).await;
        let digest = admin.get(&page).await.value("digest").unwrap();
        walk.did("POST /people/import/{id}", admin.post(&page, &[("digest", &digest)])).await;
    }
}
